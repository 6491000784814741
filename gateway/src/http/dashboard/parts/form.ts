import { attributes, html, type Html } from './html.ts'
import type { Refused } from './page.ts'

/** The name of the field that has the session's form key. */
export const formKeyField = 'form-key'

type FormContext = { formKey: string; refused?: Refused | null }
/** Forms of one address differ by their fixed fields. */
type Fixed = Record<string, string>
/** What is in a form. A function gets what was typed into the form, if it was refused. */
type Contents = Html | ((typed: Refused | null) => Html)

/** A form of this session. Its address has an action in `dashboard.ts`. */
export const postForm = (
  context: FormContext,
  action: string,
  contents: Contents,
  fixed: Fixed = {},
): Html =>
  html`<form
    method="post"
    action="${action}"
    ${attributes({ 'data-refused': refusedAt(context, action, fixed) !== null })}
  >
    <input type="hidden" name="${formKeyField}" value="${context.formKey}" />
    ${Object.entries(fixed).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`)}
    ${typeof contents === 'function' ? contents(refusedAt(context, action, fixed)) : contents}
  </form>`

/** What was typed into a form that was refused. Null: another one was, or none. */
function refusedAt({ refused }: FormContext, action: string, fixed: Fixed): Refused | null {
  if (!refused || refused.action !== action) return null
  const isThis = Object.entries(fixed).every(([name, value]) => refused.form.get(name) === value)
  return isThis ? refused : null
}

/** A button. `disabledBecause`: why it cannot be used now, which is shown beside it. */
export const button = (label: string, disabledBecause: string | null = null): Html =>
  html`<button ${attributes({ disabled: disabledBecause !== null })}>${label}</button
    >${disabledBecause && html` <span class="quiet">${disabledBecause}</span>`}`

/** What a reader opens first, so that nobody sends it by mistake. A refresh leaves it open. */
export const confirmation = (id: string, label: string, form: Html, isOpen = false): Html =>
  html`<details id="${id}" class="confirm" ${attributes({ open: isOpen })}>
    <summary>${label}</summary>
    ${form}
  </details>`

type Confirmed = { id: string; label: string; action: string; fixed?: Fixed }

/** A form that a reader opens first. It is open if it was refused. */
export const confirmForm = (
  context: FormContext,
  { id, label, action, fixed = {} }: Confirmed,
  contents: Contents,
): Html =>
  confirmation(
    id,
    label,
    postForm(context, action, contents, fixed),
    refusedAt(context, action, fixed) !== null,
  )

/** One field of a form, below its label. */
export const field = (label: string, input: Html, hint: string | null = null): Html =>
  html`<label class="field"
    >${label}${input}${hint && html`<span class="quiet">${hint}</span>`}</label
  >`
