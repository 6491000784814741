import { isQuotaName, type QuotaFact, quotas } from '#api/callers/quotas.ts'
import type { Team } from '#api/callers/teams.ts'
import { fieldProblem, textField } from '../forms/fields.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { button, confirmForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import type { Action, PageContext } from '../parts/page.ts'
import { table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

/** What a team may use and has used, and the form that changes it. */
export async function quotasPart(context: PageContext, team: Team): Promise<Html> {
  const { commands, caller } = context
  const forbidden = await commands.whyNot.teams.setQuotas(caller, team.name, {})
  return html`${quotasTable(team.quotas)}
  ${confirmForm(
    context,
    {
      id: 'quotas-form',
      label: 'Change quotas…',
      action: addressOf('changeQuotas', { team: team.name }),
    },
    (typed) =>
      html`<p>
          They hold for what comes next: what runs goes on. Empty: as the gateway has it for every
          team. <code>none</code>: no limit.
        </p>
        ${team.quotas.map(({ quota, limit, from }) =>
          textField(typed, {
            name: quota,
            label: quota,
            value: from === 'team' ? (limit ?? 'none') : null,
            hint: isQuotaName(quota) ? quotas[quota].about : null,
          }),
        )}
        ${button('Change them', forbidden?.message ?? null)}`,
  )}`
}

export const quotasTable = (own: readonly QuotaFact[]): Html =>
  table(
    'Quotas',
    ['Quota', 'Used', 'Limit', 'Starts again'],
    own.map(({ quota, what, limit, used, resetsAt, from }) => [
      quota,
      used ?? '',
      limit === null
        ? 'no limit'
        : html`${limit}
          ${what}${from === 'default' && html` <span class="quiet">(of the gateway)</span>`}`,
      limit === null || resetsAt === null ? '' : timeOf(resetsAt),
    ]),
  )

export const changeQuotas: Action = {
  path: addresses.changeQuotas,
  async act({ commands, caller, params }, form) {
    const team = params['team'] ?? ''
    const named = [...form].filter(([name]) => isQuotaName(name))
    const patch = named.map(([name, text]) => [name, quotaIn(name, text.trim())])
    await commands.teams.setQuotas(caller, team, Object.fromEntries(patch))
    return `${addressOf('team', { team })}#quotas`
  },
}

function quotaIn(name: string, text: string): number | 'none' | null {
  if (text === '') return null
  if (text === 'none') return 'none'
  if (/^\d{1,10}$/.test(text)) return Number(text)
  throw fieldProblem(name, `The quota ${name} is a whole number, none, or nothing.`)
}
