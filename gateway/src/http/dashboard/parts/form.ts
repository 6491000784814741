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

/** A form that a reader opens first, so that nobody sends it by mistake. A refresh leaves it open. */
export const confirmation = (id: string, label: string, form: Html): Html =>
  html`<details id="${id}" class="confirm">
    <summary>${label}</summary>
    ${form}
  </details>`

/** One field of a form, below its label. */
export const field = (label: string, input: Html, hint: string | null = null): Html =>
  html`<label class="field"
    >${label}${input}${hint && html`<span class="quiet">${hint}</span>`}</label
  >`
