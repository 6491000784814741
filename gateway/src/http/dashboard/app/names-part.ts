import type { EnvEntry, EnvList } from '#api/runtime/env.ts'
import type { RuntimeSecret, RuntimeSecrets } from '#api/runtime/secrets.ts'
import type { SecretFacts } from '#api/secret.ts'
import { html, type Html } from '../parts/html.ts'
import { mark, type Mood } from '../parts/mark.ts'
import { table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

/** The variables of the app's machines. What looks like a secret in a value is hidden by the command. */
export const variablesPart = ({ env }: EnvList): Html =>
  env.length === 0
    ? html`<p class="quiet">None.</p>`
    : table(
        'Variables',
        ['Name', 'Value', 'From', 'For'],
        env.map((each) => [
          html`<code>${each.name}</code>`,
          html`<code>${each.value}</code>`,
          `${each.from}${each.state === 'next' ? ', from the next deployment on' : ''}`,
          scopeText(each),
        ]),
      )

const scopeText = ({ owner, group }: EnvEntry): string =>
  [owner, group && `group ${group}`].filter(Boolean).join(', ')

const moods: Record<RuntimeSecret['state'], Mood> = {
  deployed: 'good',
  staged: 'waiting',
  removed: 'over',
  unknown: 'warning',
}

/** Names of secrets: no page, and no command, has their values. */
export function secretsPart({ secrets, warnings }: RuntimeSecrets, build: SecretFacts[]): Html {
  if (secrets.length + build.length === 0) return html`<p class="quiet">None.</p>`
  return html`${warnings.map((text) => html`<p>${mark('warning', 'warning')} ${text}</p>`)}
  ${table(
    'Secrets',
    ['Name', 'Of', 'State', 'Changed'],
    [
      ...secrets.map((each) => [
        html`<code>${each.name}</code>`,
        'the machines',
        html`${mark(moods[each.state], each.state)}${each.changedBy && ` by ${each.changedBy}`}`,
        each.updatedAt ? timeOf(each.updatedAt) : '',
      ]),
      ...build.map((each) => [
        html`<code>${each.name}</code>`,
        'the build',
        '',
        timeOf(each.updatedAt),
      ]),
    ],
  )}`
}
