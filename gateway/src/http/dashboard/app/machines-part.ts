import type { MachineView } from '#api/machines/machine-facts.ts'
import { powerForms } from '../actions/machine-power.ts'
import type { Target } from '../actions/words.ts'
import { html, type Html } from '../parts/html.ts'
import { deploymentLink } from '../parts/links.ts'
import { mark, type Mood } from '../parts/mark.ts'
import type { PageContext } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

/** The machines as Fly sees them now, and the forms that start and stop them. */
export async function machinesPart(context: PageContext, { app, owner }: Target): Promise<Html> {
  const { commands, caller } = context
  return partOf(commands.machines.list(caller, app), async (all) => {
    const forbidden = await commands.whyNot.machines.change(caller, app, '', 'stop')
    const machines = owner === null ? all : all.filter((each) => each.owner === owner)
    return machinesTable(machines, (machine) =>
      powerForms(context, app, machine, forbidden?.message ?? null),
    )
  })
}

function machinesTable(machines: MachineView[], formsOf: (machine: MachineView) => Html): Html {
  if (machines.length === 0) return html`<p class="quiet">Fly has none.</p>`
  return table(
    'Machines',
    ['Machine', 'State', 'Since', 'Region', 'Group', 'Size', 'Checks', 'Version', 'Power'],
    machines.map((each) => [
      html`<code>${each.id}</code> ${each.name}${each.owner && html` for ${each.owner}`}`,
      html`${mark(moodOf(each), each.state)}${each.cordoned && ', cordoned'}`,
      each.changedAt ? timeOf(each.changedAt) : '',
      each.region,
      each.group,
      `${each.size}, ${each.memoryMib} MiB`,
      checksText(each),
      each.deployment ? deploymentLink(each.deployment) : 'of another tool',
      formsOf(each),
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
