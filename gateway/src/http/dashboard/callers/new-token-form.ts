import { NewToken, usualLife } from '#api/callers/token.ts'
import { Scope } from '#api/callers/scope.ts'
import { readRequest } from '../../body/read-request.ts'
import { addressOf } from '../parts/addresses.ts'
import { button, confirmation, field, postForm } from '../parts/form.ts'
import { attributes, html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'

export const newTokenForm = (context: PageContext): Html =>
  confirmation(
    'new-token-form',
    'Make a token…',
    postForm(
      context,
      addressOf('createToken'),
      html`<p>
          The gateway shows the new token once, on the next page. It can do no more than you, and
          what you leave empty is as for you.
        </p>
        ${field('Name', html`<input name="name" required maxlength="63" autocomplete="off" />`)}
        <fieldset>
          <legend>What it may do</legend>
          ${Scope.options.map((scope) => html`<label><input name="scopes" type="checkbox" value="${scope}" ${attributes({ checked: scope === 'deploy' })} /> ${scope}</label> `)}
        </fieldset>
        ${field('Apps', html`<input name="apps" autocomplete="off" />`, 'Names, or beginnings like pr-*, with commas between. Empty: all that you may use.')}
        ${field('Owners', html`<input name="owners" autocomplete="off" />`)}
        ${field('Ends', html`<input name="expires" autocomplete="off" placeholder="${usualLife.token}" />`, 'A span like 90d or 12h, a day like 2027-01-31, or never.')}
        ${button('Make it')}`,
    ),
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
