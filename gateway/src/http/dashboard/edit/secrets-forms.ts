import type { RuntimeSecrets } from '#api/runtime/secrets.ts'
import { ownerOf } from '../app/owner-of.ts'
import { checkBox, selectField, textArea, textField } from '../forms/fields.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { button, confirmForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import type { Action, PageContext } from '../parts/page.ts'
import { releasedAgain } from './released-again.ts'

type Target = { app: string; owner: string | null }

/** The forms that set a secret, and deploy those that wait for it. No page has their values. */
export async function setSecretForms(
  context: PageContext,
  { app, owner }: Target,
  { secrets }: RuntimeSecrets,
): Promise<Html> {
  const { commands, caller } = context
  const change = { values: new Map<string, string>(), deploy: false }
  const forbidden = await commands.whyNot.runtime.changeSecrets(caller, { app, owner }, change)
  const notDeployed = await commands.whyNot.runtime.deploySecrets(caller, { app, owner })
  const waiting = secrets.filter(({ state }) => state === 'staged' || state === 'removed')
  return html`${confirmForm(
    context,
    {
      id: 'set-secret',
      label: 'Set a secret…',
      action: addressOf('setSecret', { app }, { owner }),
    },
    (typed) =>
      html`<p>
          Fly keeps a secret of the machines, and the gateway one of the build. Nobody can read its
          value again: no page and no call shows it. One that exists gets the new value.
        </p>
        ${textField(typed, { name: 'name', label: 'Name', required: true, maxlength: 128, codes: ['secret-invalid'] })}
        ${textArea(typed, { name: 'value', label: 'Value', required: true, isSecret: true })}
        ${selectField(typed, { name: 'of', label: 'For', options: placesOf(owner) })}
        ${deployBox(typed)} ${button('Set it', forbidden?.message ?? null)}`,
  )}
  ${
    waiting.length > 0 &&
    confirmForm(
      context,
      {
        id: 'deploy-secrets',
        label: 'Deploy what has changed…',
        action: addressOf('deploySecrets', { app }, { owner }),
      },
      html`<p>
          The machines get a new release with ${waiting.map(({ name }) => name).join(', ')} as Fly
          has it now. Nothing is built.
        </p>
        ${button('Deploy it', notDeployed?.message ?? null)}`,
    )
  }`
}

/** Secrets of the build are the whole app's. */
const placesOf = (owner: string | null) =>
  owner === null
    ? ([
        ['machines', 'the machines'],
        ['build', 'the build'],
      ] as const)
    : ([['machines', `the machines of ${owner}`]] as const)

const deployBox = (typed: Parameters<typeof checkBox>[0]): Html =>
  html`<p>
    ${checkBox(typed, { name: 'deploy', label: 'Deploy it now, if it is for the machines: they get a new release with it. Nothing is built.', checked: true })}
  </p>`

export const unsetSecretForm = (
  context: PageContext,
  { app, owner }: Target,
  name: string,
  of: 'machines' | 'build',
): Html =>
  confirmForm(
    context,
    {
      id: `unset-secret-${of}-${name}`,
      label: 'Unset…',
      action: addressOf('unsetSecret', { app }, { owner }),
      fixed: { name, of },
    },
    (typed) =>
      html`<p>
          ${of === 'build' ? 'Builds from now on are without it.' : 'Fly forgets it. Machines have it until their next release.'}
        </p>
        ${of === 'machines' && deployBox(typed)} ${button(`Unset ${name}`)}`,
  )

export const setSecret: Action = {
  path: addresses.setSecret,
  section: 'apps',
  // A text field of a browser sends its lines with CR.
  act: (context, form) => change(context, form, (form.get('value') ?? '').replaceAll('\r\n', '\n')),
}

export const unsetSecret: Action = {
  path: addresses.unsetSecret,
  section: 'apps',
  act: (context, form) => change(context, form, null),
}

export const deploySecrets: Action = {
  path: addresses.deploySecrets,
  section: 'apps',
  async act({ commands, caller, params, query }) {
    const target = { app: params['app'] ?? '', owner: ownerOf(query) }
    const answer = await commands.runtime.deploySecrets(caller, target)
    return releasedAgain('Secrets', backTo(target), answer)
  },
}

const backTo = ({ app, owner }: Target) => `${addressOf('app', { app }, { owner })}#secrets`

async function change(
  { commands, caller, params, query }: PageContext,
  form: URLSearchParams,
  value: string | null,
) {
  const target = { app: params['app'] ?? '', owner: ownerOf(query) }
  const name = form.get('name')?.trim() ?? ''
  const values = new Map([[name, value]])
  if (form.get('of') === 'build') {
    await commands.changeBuildSecrets(caller, target.app, values)
    return backTo(target)
  }
  const deploy = form.get('deploy') === 'true'
  const answer = await commands.runtime.changeSecrets(caller, target, { values, deploy })
  return releasedAgain(`Secret ${name}`, backTo(target), answer)
}
