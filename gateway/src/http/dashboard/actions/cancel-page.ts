import { type Deployment, isFinal } from '#api/deployment.ts'
import { touchesMachines } from '../../../deployments/states.ts'
import { checkBox } from '../forms/fields.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { stateWord } from '../parts/mark.ts'
import type { Action, Page, PageContext, Refused } from '../parts/page.ts'
import { aboutDeployment, ask } from './ask.ts'
import { deploymentName, newestRelease, targetText } from './words.ts'

export const cancelPage: Page = {
  path: addresses.cancel,
  section: 'apps',
  assets: ['boards.css'],
  async show(context) {
    const { commands, caller, params } = context
    const deployment = await commands.deployment(caller, params['id'] ?? '')
    const newest = await newestRelease(context, deployment)
    return ask(context, {
      title: `Cancel ${deploymentName(deployment)}`,
      about: aboutDeployment(deployment),
      text: whatHappens(deployment, newest?.number ?? null),
      fields: (typed) => abortField(deployment, typed),
      button: 'Cancel it',
      disabledBecause: await cancelUseless(context, deployment),
    })
  },
}

export const cancelDeployment: Action = {
  path: addresses.cancel,
  async act({ commands, caller, params }, form) {
    const id = params['id'] ?? ''
    const abort = form.get('abort') === 'true'
    await commands.cancel(caller, id, { by: null, why: null, abort })
    return addressOf('deployment', { id })
  },
}

/** Why a cancel is of no use now, or not allowed. Null: neither. */
export async function cancelUseless(
  { commands, caller }: PageContext,
  { id, state, cancel }: Deployment,
): Promise<string | null> {
  if (isFinal(state)) return `It has ended: ${stateWord(state)}.`
  if (cancel) return `${cancel.by ?? 'Somebody'} has cancelled it. It is stopping.`
  const request = { by: null, why: null, abort: false }
  return (await commands.whyNot.cancel(caller, id, request))?.message ?? null
}

function whatHappens(deployment: Deployment, release: number | null): Html {
  const { state, machines } = deployment
  const target = targetText(deployment)
  const stays =
    release === null ? `${target} has no release yet` : `${target} keeps release ${release}`
  if (state === 'pending') return html`<p>It leaves the queue. Nothing of it has run. ${stays}.</p>`
  if (!touchesMachines(state))
    return html`<p>Its work stops at once. No machine has been changed: ${stays}.</p>`
  return html`<p>
    It changes machines of ${target} now. It stops at its next safe point. Machines that it has
    changed get back the version that they had before: ${stays}.
    ${machines.length > 0 && html`So far: ${machines.map(({ id }, at) => html`${at > 0 && ', '}<code>${id}</code>`)}.`}
  </p>`
}

/** While machines change, a cancel is a rollback: the page has said so. */
const abortField = ({ state }: Deployment, typed: Refused | null): Html =>
  touchesMachines(state)
    ? html`<input type="hidden" name="abort" value="true" />`
    : html`<p>
        ${checkBox(typed, { name: 'abort', label: 'If it changes machines by then: stop it all the same, and roll them back.' })}
      </p>`
