import { NewToken, usualLife } from '#api/callers/token.ts'
import { Scope } from '#api/callers/scope.ts'
import { readRequest } from '../../body/read-request.ts'
import { addressOf } from '../parts/addresses.ts'
import { checkBox, textField } from '../forms/fields.ts'
import { button, confirmForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'

export const newTokenForm = (context: PageContext): Html =>
  confirmForm(
    context,
    { id: 'new-token-form', label: 'Make a token…', action: addressOf('createToken') },
    (typed) =>
      html`<p>
          The gateway shows the new token once, on the next page. It can do no more than you, and
          what you leave empty is as for you.
        </p>
        ${textField(typed, { name: 'name', label: 'Name', required: true, maxlength: 63, codes: ['token-name-taken'] })}
        <fieldset>
          <legend>What it may do</legend>
          ${Scope.options.map((scope) => html`${checkBox(typed, { name: 'scopes', value: scope, label: scope, checked: scope === 'deploy' })} `)}
        </fieldset>
        ${textField(typed, { name: 'apps', label: 'Apps', hint: 'Names, or beginnings like pr-*, with commas between. Empty: all that you may use.' })}
        ${textField(typed, { name: 'owners', label: 'Owners' })}
        ${textField(typed, { name: 'expires', label: 'Ends', placeholder: usualLife.token, hint: 'A span like 90d or 12h, a day like 2027-01-31, or never.' })}
        ${button('Make it')}`,
  )

/** Reads the form. Throws as the API does for the same fields. */
export function readNewToken(form: URLSearchParams): NewToken {
  const text = (name: string) => form.get(name)?.trim() || null
  const list = (name: string) =>
    text(name)
      ?.split(',')
      .map((each) => each.trim()) ?? null
  return readRequest(NewToken, {
    name: text('name') ?? '',
    scopes: form.getAll('scopes'),
    apps: list('apps'),
    owners: list('owners'),
    expires: text('expires'),
  })
}
