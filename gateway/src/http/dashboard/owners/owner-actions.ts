import { PowerAction } from '#api/machines/machine-facts.ts'
import { type Owner, VolumesEnd } from '#api/owners/owner.ts'
import { askLinks } from '../actions/ask.ts'
import { confirmField, fieldProblem, selectField } from '../forms/fields.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { button, confirmForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import type { Action, PageContext } from '../parts/page.ts'
import { moveForbidden } from './move-page.ts'
import { uselessBecause } from './owner-words.ts'

const powerTexts: Record<PowerAction, { label: string; text: string }> = {
  stop: {
    label: 'Stop',
    text: 'All its machines stop: their programs end. It gets no requests, and none starts them, until somebody starts it.',
  },
  suspend: {
    label: 'Suspend',
    text: 'All its machines stop with what is in their memory, and go on from there when it is started. No request starts them.',
  },
  start: {
    label: 'Start',
    text: 'All its machines start, and get requests again. They answer within a minute, or are stopped again.',
  },
}

/** What can be done with an owner. What is of no use now, or not allowed, says why. */
export async function ownerActionsPart(context: PageContext, owner: Owner): Promise<Html> {
  const { commands, caller } = context
  const target = { app: owner.app, owner: owner.owner }
  const forbidden = (await commands.whyNot.owners.change(caller, target, 'stop'))?.message ?? null
  return html`${PowerAction.options.map((action) =>
    confirmForm(
      context,
      {
        id: `owner-${action}`,
        label: `${powerTexts[action].label} ${owner.owner}…`,
        action: addressOf('powerOwner', target),
        fixed: { action },
      },
      html`<p>${powerTexts[action].text}</p>
        ${button(`${powerTexts[action].label} it`, forbidden ?? uselessBecause(action, owner))}`,
    ),
  )}
  ${await destroyForm(context, owner)}
  ${askLinks([
    {
      label: 'Move to another release…',
      address: addressOf('moveOwner', target),
      disabledBecause: await moveForbidden(context, target),
    },
  ])}`
}

async function destroyForm(context: PageContext, owner: Owner): Promise<Html> {
  const { commands, caller } = context
  const { app, owner: name, flyApp, machines, volumes } = owner
  const target = { app, owner: name }
  const forbidden = await commands.whyNot.owners.destroy(caller, target, 'keep')
  const stored = volumes.map((each) => `${each.name}, ${each.sizeGb ?? '?'} GB`).join('; ')
  const ends: [VolumesEnd, string][] = [
    ['keep', 'keep them for its next machine'],
    ['delete', 'delete them for ever'],
  ]
  return confirmForm(
    context,
    {
      id: 'owner-destroy',
      label: `Destroy ${name}…`,
      action: addressOf('destroyOwner', target),
    },
    (typed) =>
      html`<p>
          ${machines.length} ${machines.length === 1 ? 'machine' : 'machines'} of ${name} in ${app}
          will be destroyed. Deployments that wait for it are cancelled.
          ${flyApp !== app && html`With its volumes, the app <code>${flyApp}</code> and its secrets are deleted too.`}
        </p>
        ${selectField(typed, { name: 'volumes', label: `Its volumes (${stored || 'none'})`, options: ends })}
        ${confirmField(typed, name)} ${button('Destroy it', forbidden?.message ?? null)}`,
  )
}

const targetOf = ({ params }: PageContext) => ({
  app: params['app'] ?? '',
  owner: params['owner'] ?? '',
})

export const powerOwner: Action = {
  path: addresses.powerOwner,
  async act(context, form) {
    const { commands, caller } = context
    const { app, owner } = targetOf(context)
    const { data: action } = PowerAction.safeParse(form.get('action'))
    if (!action) throw fieldProblem('action', `Machines can do ${PowerAction.options.join(', ')}.`)
    await commands.owners.change(caller, { app, owner }, action)
    return `${addressOf('app', { app }, { owner })}#owner`
  },
}

export const destroyOwner: Action = {
  path: addresses.destroyOwner,
  async act(context, form) {
    const { commands, caller } = context
    const { app, owner } = targetOf(context)
    const { data: volumes } = VolumesEnd.safeParse(form.get('volumes'))
    if (!volumes) throw fieldProblem('volumes', 'Say what becomes of its volumes.')
    if (form.get('confirm')?.trim() !== owner)
      throw fieldProblem('confirm', `To destroy the machines of ${owner}, type ${owner}.`)
    await commands.owners.destroy(caller, { app, owner }, volumes)
    return addressOf('owners', { app })
  },
}
