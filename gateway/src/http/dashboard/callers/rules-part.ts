import type { ListedRule } from '#api/callers/rule.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { button, confirmForm } from '../parts/form.ts'
import { firstCommand } from '../lists/first-command.ts'
import { html, type Html } from '../parts/html.ts'
import type { Action, PageContext } from '../parts/page.ts'
import { table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'
import { reachOf } from './tokens-part.ts'

/** Rules for callers without a secret of the gateway, such as the jobs of a CI. */
export function rulesPart(context: PageContext, rules: readonly ListedRule[]): Html {
  if (rules.length === 0)
    return firstCommand(
      'There is none. A rule lets jobs of a CI deploy without a secret, as of GitHub:',
      context.gateway,
      'tarmac rule add --github acme/shop --branch main --app shop',
    )
  return table(
    'Rules',
    ['Rule', 'Issuer', 'Claims', 'May', 'Apps', 'Used', 'Remove'],
    rules.map((rule) => [
      rule.name,
      rule.issuer,
      Object.entries(rule.claims)
        .map(([claim, patterns]) => `${claim}: ${patterns.join(' or ')}`)
        .join('; '),
      rule.scopes.join(', '),
      reachOf(rule),
      rule.lastUsedAt === null ? 'never' : timeOf(rule.lastUsedAt),
      removal(context, rule),
    ]),
  )
}

const removal = (context: PageContext, { name, origin }: ListedRule): Html =>
  confirmForm(
    context,
    {
      id: `remove-${name}`,
      label: 'Remove…',
      action: addressOf('removeRule', { rule: name }),
    },
    html`<p>Whom only this rule allows is refused from the next call on.</p>
      ${button('Remove it', origin === 'settings' ? 'It is in the setting TARMAC_OIDC_RULES.' : null)}`,
  )

export const removeRule: Action = {
  path: addresses.removeRule,
  async act({ commands, caller, params }) {
    await commands.rules.remove(caller, params['rule'] ?? '')
    return addressOf('callers')
  },
}
