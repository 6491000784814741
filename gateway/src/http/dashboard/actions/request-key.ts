import { randomUUID } from 'node:crypto'
import { Problem } from '#api/problem.ts'
import { html, type Html } from '../parts/html.ts'

const name = 'request-key'

/** Makes a form that is sent twice make one deployment: an idempotency key of the page. */
export const requestKeyField = (): Html =>
  html`<input type="hidden" name="${name}" value="ui-${randomUUID()}" />`

/** Throws `form-invalid` for a form without it. */
export function requestKeyOf(form: URLSearchParams): string {
  const key = form.get(name) ?? ''
  if (/^ui-[\da-f-]{36}$/.test(key)) return key
  throw new Problem('form-invalid', 'The form has no key of its own. Open its page again.')
}
