import type { Deployment } from '#api/deployment.ts'
import type { MachineFacts, MachineSeen, SeenEvent } from '#api/machines/deployed-machine.ts'
import { visible } from '#api/text/visible-text.ts'
import { checkMark } from '../app/machines-part.ts'
import { addressOf } from '../parts/addresses.ts'
import { attributes, html, type Html } from '../parts/html.ts'
import { mark, type Mood } from '../parts/mark.ts'
import { linesOf, table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'
import { shortDigest } from './facts-part.ts'

const moods: Record<MachineFacts['outcome'], Mood> = {
  touched: 'busy',
  verified: 'good',
  rolled_back: 'warning',
  removed: 'over',
  stuck: 'bad',
}

/** What the deployment did to each machine: how it was before, on the tried version, and after. */
export const machinesPart = ({ app, owner, machines, problem }: Deployment): Html =>
  html`${table(
      'Machines',
      ['Machine', 'Result', 'Before', 'Tried', 'After', 'What happened'],
      machines.map((machine) => {
        const { id, name, region, before, tried, after, outcome } = machine
        return [
          html`<code>${id}</code> ${name}
            <div class="quiet">${region}</div>`,
          mark(moods[outcome], outcome.replace('_', ' ')),
          version(before),
          version(tried),
          version(after),
          happened(machine, problem),
        ]
      }),
    )}
    <p class="quiet">
      As the gateway saw them during this deployment.
      <a href="${addressOf('app', { app }, { owner })}#machines">How the app’s machines are now</a>
    </p>`

/** The instance changes with each update of a machine, the image with what runs there. */
const version = (of: MachineFacts['before']): Html =>
  of
    ? html`<code>${shortDigest(of.image.slice(of.image.indexOf('@') + 1))}</code>
        <span class="quiet lines">${of.instanceId}</span> ${of.seen && seenText(of.seen)}`
    : html`<span class="quiet">none</span>`

const seenText = ({ state, checks }: MachineSeen): Html =>
  html`<div>${state}</div>
    ${checks.map(
      (check) =>
        html`${checkMark(check)}
        ${check.output && html`<div class="quiet lines">${check.output}</div>`}`,
    )}`

function happened(machine: MachineFacts, problem: Deployment['problem']): Html {
  const { id, warning, events = [] } = machine
  const hasFailed = problem?.['machine'] === id
  const printed: unknown = hasFailed ? problem?.['lastLines'] : []
  const lines = Array.isArray(printed) ? printed.map(String) : []
  return html`${warning && linesOf(warning)}
  ${
    events.length > 0 &&
    html`<details id="events-${id}" ${attributes({ open: hasFailed })}>
      <summary>${events.length === 1 ? '1 event' : `${events.length} events`}</summary>
      ${events.map(eventLine)}
    </details>`
  }
  ${
    lines.length > 0 &&
    html`<details id="printed-${id}" open>
      <summary>The end of its log</summary>
      <pre>${lines.map(visible).join('\n')}</pre>
    </details>`
  }`
}

const eventLine = ({ at, type, status, text }: SeenEvent): Html =>
  html`<div>${timeOf(at)} ${type}${status !== type && `, ${status}`}${text && `: ${text}`}</div>`
