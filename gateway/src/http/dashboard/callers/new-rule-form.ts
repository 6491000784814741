import { readRule } from '#api/callers/rule.ts'
import { Scope } from '#api/callers/scope.ts'
import { checkBox, fieldProblem, textArea, textField } from '../forms/fields.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { button, confirmForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import type { Action, PageContext } from '../parts/page.ts'

/** A rule lets callers in that another issuer vouches for, such as the jobs of a CI. */
export async function newRuleForm(context: PageContext): Promise<Html> {
  const { commands, caller, gateway } = context
  const rule = { name: 'a', issuer: 'tailscale', claims: { login: ['a'] }, scopes: [], apps: null }
  const forbidden = await commands.whyNot.rules.add(caller, { ...noLimits, ...rule })
  return confirmForm(
    context,
    { id: 'new-rule', label: 'Add a rule…', action: addressOf('addRule') },
    (typed) =>
      html`<p>
          Whoever has a token of this issuer with these claims may call the gateway, from now on and
          without a secret of it. All claims must match.
        </p>
        ${textField(typed, { name: 'name', label: 'Name', required: true, maxlength: 100 })}
        ${textField(typed, { name: 'issuer', label: 'Issuer', required: true, maxlength: 300, placeholder: 'https://token.actions.githubusercontent.com', hint: 'The address of an OIDC issuer, or tailscale or fly-6pn.' })}
        ${textField(typed, { name: 'aud', label: 'Audience', maxlength: 300, placeholder: gateway, hint: 'As its tokens have it. Empty for tailscale and fly-6pn.' })}
        ${textArea(typed, { name: 'claims', label: 'Claims', required: true, placeholder: 'repository: acme/shop\nref: refs/heads/main', codes: ['rule-invalid'], hint: 'One a line, as repository: acme/shop. A pattern ends with *.' })}
        <fieldset>
          <legend>What it may do</legend>
          ${Scope.options.map((scope) => html`${checkBox(typed, { name: 'scopes', value: scope, label: scope, checked: scope === 'deploy' })} `)}
        </fieldset>
        ${textField(typed, { name: 'apps', label: 'Apps', hint: 'Names, or beginnings like pr-*, with commas between. Empty: all.' })}
        ${button('Add it', forbidden?.message ?? null)}`,
  )
}

const noLimits = { aud: null, owners: null, team: null, maxSeconds: 3900 }

export const addRule: Action = {
  path: addresses.addRule,
  async act({ commands, caller }, form) {
    const text = (name: string) => form.get(name)?.trim() || null
    const apps = text('apps')
      ?.split(',')
      .map((each) => each.trim())
    const rule = readRule({
      name: text('name') ?? '',
      issuer: text('issuer') ?? '',
      aud: text('aud'),
      claims: claimsIn(text('claims') ?? ''),
      scopes: form.getAll('scopes'),
      apps: apps ?? null,
    })
    await commands.rules.add(caller, rule)
    return `${addressOf('callers')}#rules`
  },
}

/** `repository: acme/shop`, one a line. A claim that comes twice has both patterns. */
function claimsIn(text: string): Record<string, string[]> {
  const claims = new Map<string, string[]>()
  for (const line of text.split('\n').filter((each) => each.trim() !== '')) {
    const at = line.indexOf(':')
    if (at < 1)
      throw fieldProblem('claims', `A claim is written as name: pattern, not ${line.slice(0, 100)}`)
    const name = line.slice(0, at).trim()
    claims.set(name, [...(claims.get(name) ?? []), line.slice(at + 1).trim()])
  }
  return Object.fromEntries(claims)
}
