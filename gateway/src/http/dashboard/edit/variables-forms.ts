import { checkBox, selectField, textArea, textField } from '../forms/fields.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { button, confirmForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import type { Action, PageContext } from '../parts/page.ts'
import { releasedAgain } from './released-again.ts'

const kinds = [
  ['machines', 'the machines'],
  ['build', 'the build'],
] as const

/** Sets a variable in the app's settings. */
export async function setVariableForm(context: PageContext, app: string): Promise<Html> {
  const forbidden = await forbiddenIn(context, app)
  return confirmForm(
    context,
    { id: 'set-variable', label: 'Set a variable…', action: addressOf('setVariable', { app }) },
    (typed) =>
      html`<p>
          It is in the settings of ${app}: all its targets have it from their next deployment on.
          The value can be read by all who may see the app. What is secret is a secret: see below.
        </p>
        ${textField(typed, { name: 'name', label: 'Name', required: true, maxlength: 128, codes: ['secret-invalid'] })}
        ${textArea(typed, { name: 'value', label: 'Value' })}
        ${selectField(typed, { name: 'of', label: 'For', options: kinds })}
        <p>
          ${checkBox(typed, { name: 'deploy', label: 'Deploy it now: the machines get a new release with it. Nothing is built.' })}
        </p>
        ${button('Set it', forbidden)}`,
  )
}

/** Removes a variable of the settings. `key`: another for each form of a page. */
export const unsetVariableForm = (
  context: PageContext,
  app: string,
  { name, of, key }: { name: string; of: 'machines' | 'build'; key: number },
): Html =>
  confirmForm(
    context,
    {
      id: `unset-${of}-${key}`,
      label: 'Remove…',
      action: addressOf('unsetVariable', { app }),
      fixed: { name, of },
    },
    (typed) =>
      html`<p>Deployments from now on are without it, unless they set it themselves.</p>
        ${of === 'machines' && html`<p>${checkBox(typed, { name: 'deploy', label: 'Deploy that now.' })}</p>`}
        ${button(`Remove ${name}`)}`,
  )

const forbiddenIn = async ({ commands, caller }: PageContext, app: string) =>
  (await commands.whyNot.runtime.changeEnv(caller, app, { values: new Map(), deploy: false }))
    ?.message ?? null

export const setVariable: Action = {
  path: addresses.setVariable,
  section: 'apps',
  act: (context, form) => change(context, form, form.get('value') ?? ''),
}

export const unsetVariable: Action = {
  path: addresses.unsetVariable,
  section: 'apps',
  act: (context, form) => change(context, form, null),
}

async function change(
  { commands, caller, params }: PageContext,
  form: URLSearchParams,
  value: string | null,
) {
  const app = params['app'] ?? ''
  const name = form.get('name')?.trim() ?? ''
  const back = `${addressOf('app', { app })}#variables`
  if (form.get('of') === 'build') {
    await commands.changeSettings(caller, app, { build: { [name]: value } })
    return back
  }
  const values = new Map([[name, value]])
  const deploy = form.get('deploy') === 'true'
  const answer = await commands.runtime.changeEnv(caller, app, { values, deploy })
  return releasedAgain(`Variable ${name}`, back, answer)
}
