import type { OwnSettings } from '#api/options/app-settings.ts'
import type { EnvEntry, EnvList } from '#api/runtime/env.ts'
import type { RuntimeSecret, RuntimeSecrets } from '#api/runtime/secrets.ts'
import type { SecretFacts } from '#api/secret.ts'
import { setSecretForms, unsetSecretForm } from '../edit/secrets-forms.ts'
import { setVariableForm, unsetVariableForm } from '../edit/variables-forms.ts'
import { html, type Html } from '../parts/html.ts'
import { mark, type Mood } from '../parts/mark.ts'
import type { PageContext } from '../parts/page.ts'
import { table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

/** The variables of the app's machines. What looks like a secret in a value is hidden by the command. */
export const variablesPart = async (
  context: PageContext,
  { app, env }: EnvList,
  { build = {} }: OwnSettings,
): Promise<Html> =>
  html`${
    env.length === 0
      ? html`<p class="quiet">None.</p>`
      : table(
          'Variables',
          ['Name', 'Value', 'From', 'For', 'Remove'],
          env.map((each, key) => [
            html`<code>${each.name}</code>`,
            html`<code>${each.value}</code>`,
            `${each.from}${each.state === 'next' ? ', from the next deployment on' : ''}`,
            scopeText(each),
            each.from === 'settings'
              ? unsetVariableForm(context, app, { name: each.name, of: 'machines', key })
              : '',
          ]),
        )
  }
  ${
    Object.keys(build).length > 0 &&
    table(
      'Variables of the build',
      ['Of the build', 'Value', 'Remove'],
      Object.entries(build).map(([name, value], key) => [
        html`<code>${name}</code>`,
        html`<code>${value}</code>`,
        unsetVariableForm(context, app, { name, of: 'build', key }),
      ]),
    )
  }
  ${await setVariableForm(context, app)}`

const scopeText = ({ owner, group }: EnvEntry): string =>
  [owner, group && `group ${group}`].filter(Boolean).join(', ')

const moods: Record<RuntimeSecret['state'], Mood> = {
  deployed: 'good',
  staged: 'waiting',
  removed: 'over',
  unknown: 'warning',
}

/** Names of secrets: no page, and no command, has their values. */
export async function secretsPart(
  context: PageContext,
  runtime: RuntimeSecrets,
  build: SecretFacts[],
): Promise<Html> {
  const { app, owner, secrets, warnings } = runtime
  const target = { app, owner }
  const forms = await setSecretForms(context, target, runtime)
  if (secrets.length + build.length === 0)
    return html`<p class="quiet">None.</p>
      ${forms}`
  return html`${warnings.map((text) => html`<p>${mark('warning', 'warning')} ${text}</p>`)}
  ${table(
    'Secrets',
    ['Name', 'Of', 'State', 'Changed', 'Unset'],
    [
      ...secrets.map((each) => [
        html`<code>${each.name}</code>`,
        'the machines',
        html`${mark(moods[each.state], each.state)}${each.changedBy && ` by ${each.changedBy}`}`,
        each.updatedAt ? timeOf(each.updatedAt) : '',
        each.state === 'removed' ? '' : unsetSecretForm(context, target, each.name, 'machines'),
      ]),
      ...build.map((each) => [
        html`<code>${each.name}</code>`,
        'the build',
        '',
        timeOf(each.updatedAt),
        unsetSecretForm(context, target, each.name, 'build'),
      ]),
    ],
  )}
  ${forms}`
}
