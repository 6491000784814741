import { attributes, html, type Html } from './html.ts'
import type { PageContext } from './page.ts'

/** The name of the field that has the session's form key. */
export const formKeyField = 'form-key'

/** A form of this session. Its address has an action in `dashboard.ts`. */
export const postForm = (
  { formKey }: Pick<PageContext, 'formKey'>,
  action: string,
  contents: Html,
): Html =>
  html`<form method="post" action="${action}">
    <input type="hidden" name="${formKeyField}" value="${formKey}" />${contents}
  </form>`

/** A button. `disabledBecause`: why it cannot be used now, which is shown beside it. */
export const button = (label: string, disabledBecause: string | null = null): Html =>
  html`<button ${attributes({ disabled: disabledBecause !== null })}>${label}</button
    >${disabledBecause && html` <span class="quiet">${disabledBecause}</span>`}`
