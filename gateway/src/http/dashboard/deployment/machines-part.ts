import type { Deployment, MachineFacts } from '#api/deployment.ts'
import { html, type Html } from '../parts/html.ts'
import { mark, type Mood } from '../parts/mark.ts'
import { table } from '../parts/tables.ts'
import { shortDigest } from './facts-part.ts'

const moods: Record<MachineFacts['outcome'], Mood> = {
  touched: 'busy',
  verified: 'good',
  rolled_back: 'warning',
  removed: 'over',
  stuck: 'bad',
}

/** What the deployment did to each machine: the version before and the one after. */
export const machinesPart = ({ machines }: Deployment): Html =>
  table(
    'Machines',
    ['Machine', 'Region', 'Result', 'Before', 'Tried', 'After', 'Warning'],
    machines.map(({ id, name, region, before, tried, after, outcome, warning = '' }) => [
      html`<code>${id}</code> ${name}`,
      region,
      mark(moods[outcome], outcome.replace('_', ' ')),
      version(before),
      version(tried),
      version(after),
      warning,
    ]),
  )

/** The instance changes with each update of a machine, the image with what runs there. */
const version = (of: MachineFacts['before']): Html =>
  of
    ? html`<code>${shortDigest(of.image.slice(of.image.indexOf('@') + 1))}</code>
        <span class="quiet">${of.instanceId}</span>`
    : html`<span class="quiet">none</span>`
