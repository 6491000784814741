import { MachineAction, type MachineView } from '#api/machines/machine-facts.ts'
import { Problem } from '#api/problem.ts'
import { ownerOf } from '../app/owner-of.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { button, confirmation, postForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import type { Action, PageContext } from '../parts/page.ts'

const labels: Record<MachineAction, string> = { start: 'Start', stop: 'Stop', restart: 'Restart' }

/** The forms that start and stop one machine. `forbidden`: why the caller may do neither. */
export const powerForms = (
  context: PageContext,
  app: string,
  machine: MachineView,
  forbidden: string | null,
): Html =>
  confirmation(
    `power-${machine.id}`,
    'Start or stop…',
    html`${MachineAction.options.map((action) =>
      postForm(
        context,
        addressOf('machinePower', { app, machine: machine.id }, { owner: ownerOf(context.query) }),
        html`<p>${whatHappens(action, machine)}</p>
          ${button(`${labels[action]} ${machine.id}`, forbidden ?? uselessBecause(action, machine))}`,
        { action },
      ),
    )}`,
  )

export const changeMachine: Action = {
  path: addresses.machinePower,
  section: 'apps',
  async act({ commands, caller, params, query }, form) {
    const { data: action } = MachineAction.safeParse(form.get('action'))
    if (!action)
      throw new Problem('option-invalid', `A machine can do ${MachineAction.options.join(', ')}.`)
    const { app = '', machine = '' } = params
    const { state } = await commands.machines.change(caller, app, machine, action)
    const owner = ownerOf(query)
    return `${addressOf('app', { app }, { owner, machine, became: state })}#machines`
  },
}

/** What the form before has done, from the address that `changeMachine` returns. */
export function powerNote({ query }: PageContext): Html | false {
  const [machine, became] = [query.get('machine') ?? '', query.get('became') ?? '']
  const isOurs = /^[\da-z]{1,40}$/.test(machine) && /^[a-z]{1,20}$/.test(became)
  return isOurs && html`<p role="status">Machine <code>${machine}</code> is ${became} now.</p>`
}

function whatHappens(action: MachineAction, { id, startsByItself }: MachineView): Html {
  const name = html`Machine <code>${id}</code>`
  if (action === 'start') return html`${name} starts, with the version and the disk that it has.`
  if (action === 'restart')
    return html`${name} stops and starts again. Meanwhile it serves nothing.`
  return startsByItself
    ? html`${name} stops: its programs end. The next request starts it again.`
    : html`${name} stops: its programs end. It stays so until somebody starts it.`
}

/** Why it is of no use now. Null: it is. The command decides. */
function uselessBecause(action: MachineAction, { state }: MachineView): string | null {
  if (action === 'start' && state === 'started') return 'It runs already.'
  if (action === 'stop' && state === 'stopped') return 'It is stopped already.'
  return null
}
