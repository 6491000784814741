import type { MachineView } from '#api/machines/machine-facts.ts'
import { html, type Html } from '../parts/html.ts'
import { deploymentLink } from '../parts/links.ts'
import { mark, type Mood } from '../parts/mark.ts'
import { table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

/** The machines as Fly sees them now. */
export function machinesPart(all: MachineView[], owner: string | null): Html {
  const machines = owner === null ? all : all.filter((each) => each.owner === owner)
  if (machines.length === 0) return html`<p class="quiet">Fly has none.</p>`
  return table(
    'Machines',
    ['Machine', 'State', 'Since', 'Region', 'Group', 'Size', 'Checks', 'Version'],
    machines.map((each) => [
      html`<code>${each.id}</code> ${each.name}${each.owner && html` for ${each.owner}`}`,
      html`${mark(moodOf(each), each.state)}${each.cordoned && ', cordoned'}`,
      each.changedAt ? timeOf(each.changedAt) : '',
      each.region,
      each.group,
      `${each.size}, ${each.memoryMib} MiB`,
      checksText(each),
      each.deployment ? deploymentLink(each.deployment) : 'of another tool',
    ]),
  )
}

/** A stopped machine that starts by itself serves: it only sleeps. */
function moodOf({ state, startsByItself }: MachineView): Mood {
  if (state === 'started') return 'good'
  if (state === 'failed') return 'bad'
  return startsByItself || state === 'destroyed' ? 'over' : 'waiting'
}

const checksText = ({ checks }: MachineView): Html =>
  html`${checks.map(({ name, status }) => html`<div>${mark(status === 'passing' ? 'good' : status === 'critical' ? 'bad' : 'warning', status)} ${name}</div>`)}`
