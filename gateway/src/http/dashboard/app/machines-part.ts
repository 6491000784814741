import type { MachineView } from '#api/machines/machine-facts.ts'
import { powerForms } from '../actions/machine-power.ts'
import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { deploymentLink } from '../parts/links.ts'
import { mark, type Mood } from '../parts/mark.ts'
import type { PageContext } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

const machinesShown = 50

/** The machines as Fly sees them now, and the forms that start and stop them. `ofOwner`: those of one owner. */
export async function machinesPart(
  context: PageContext,
  app: string,
  ofOwner: Promise<MachineView[]> | null,
): Promise<Html> {
  const { commands, caller } = context
  return partOf(ofOwner ?? commands.machines.list(caller, app), async (machines) => {
    const forbidden = await commands.whyNot.machines.change(caller, app, '', 'stop')
    const shown = machines.slice(0, machinesShown)
    const more = machines.length - shown.length
    return html`${machinesTable(app, shown, (machine) =>
      powerForms(context, app, machine, forbidden?.message ?? null),
    )}
    ${more > 0 && html`<p class="quiet">${more} more are on the pages of their owners.</p>`}`
  })
}

function machinesTable(
  app: string,
  machines: MachineView[],
  formsOf: (machine: MachineView) => Html,
): Html {
  if (machines.length === 0) return html`<p class="quiet">Fly has none.</p>`
  return table(
    'Machines',
    ['Machine', 'State', 'Since', 'Region', 'Group', 'Size', 'Checks', 'Version', 'Power'],
    machines.map((each) => [
      html`<code>${each.id}</code>
        ${each.name}${each.owner && html` for <a href="${addressOf('app', { app }, { owner: each.owner })}">${each.owner}</a>`}`,
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

const checksText = ({ checks }: MachineView): Html => html`${checks.map(checkMark)}`

/** A check of a machine, with Fly's word for its result. */
export const checkMark = ({ name, status }: { name: string; status: string }): Html =>
  html`<div>
    ${mark(status === 'passing' ? 'good' : status === 'critical' ? 'bad' : 'warning', status)}
    ${name}
  </div>`
