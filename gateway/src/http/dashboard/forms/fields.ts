import type { ProblemCode } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'
import { attributes, html, type Html } from '../parts/html.ts'
import type { Refused } from '../parts/page.ts'

/** What was typed into the form of a field, if it was refused. */
type Typed = Refused | null

type About = {
  name: string
  label: string
  hint?: string | null
  /** Problems that are about this field, beside those that name it. */
  codes?: readonly ProblemCode[]
}
type Text = About & {
  value?: string | number | null
  type?: 'text' | 'number' | 'date'
  required?: boolean
  maxlength?: number
  min?: number
  max?: number
  placeholder?: string
}

/** A field that shows what was typed before, and beside it why that was refused. */
export function textField(typed: Typed, { type = 'text', value = null, ...about }: Text): Html {
  const { name, required = false, maxlength, min, max, placeholder } = about
  return labelled(
    typed,
    about,
    html`<input
      name="${name}"
      type="${type}"
      autocomplete="off"
      spellcheck="false"
      ${attributes({ value: typedIn(typed, name) ?? value, required, ...given({ maxlength, min, max, placeholder }), ...marks(typed, about) })}
    />`,
  )
}

/** A field of several lines. `isSecret`: after a refusal it is empty. */
export function textArea(
  typed: Typed,
  { isSecret = false, value = '', ...about }: Text & { value?: string; isSecret?: boolean },
): Html {
  const { name, required = false, maxlength, placeholder } = about
  const text = isSecret ? '' : (typedIn(typed, name) ?? value)
  return labelled(
    typed,
    about,
    html`<textarea
      name="${name}"
      rows="3"
      autocomplete="off"
      spellcheck="false"
      ${attributes({ required, ...given({ maxlength, placeholder }), ...marks(typed, about) })}
    >
${text}</textarea>`,
  )
}

export function selectField(
  typed: Typed,
  {
    options,
    value = '',
    ...about
  }: About & { options: readonly (readonly [string, string])[]; value?: string | null },
): Html {
  const chosen = typedIn(typed, about.name) ?? value
  return labelled(
    typed,
    about,
    html`<select name="${about.name}" ${attributes(marks(typed, about))}>
      ${options.map(([each, label]) => html`<option value="${each}" ${attributes({ selected: each === chosen })}>${label}</option>`)}
    </select>`,
  )
}

type Check = { name: string; value?: string; label: string; checked?: boolean; disabled?: boolean }

export const checkBox = (
  typed: Typed,
  { name, value = 'true', label, checked = false, disabled = false }: Check,
): Html =>
  html`<label
    ><input
      name="${name}"
      type="checkbox"
      value="${value}"
      ${attributes({ checked: typed ? typed.form.getAll(name).includes(value) : checked, disabled })}
    />
    ${label}</label
  >`

/** The owner of a target, in forms that deploy. */
export const ownerField = (typed: Typed, owner: string | null = null): Html =>
  textField(typed, {
    name: 'owner',
    label: 'Owner',
    value: owner,
    maxlength: 63,
    hint: 'Only the machines of this user in the app. Empty: the app itself.',
  })

/** For what cannot be undone: the reader types a name. */
export const confirmField = (typed: Typed, name: string): Html =>
  textField(typed, { name: 'confirm', label: `To confirm, type ${name}`, required: true })

/** A refusal of what was typed into a field. */
export const fieldProblem = (option: string, text: string): Problem =>
  new Problem('option-invalid', text, { facts: { option } })

const labelled = (typed: Typed, about: About, input: Html): Html => {
  const why = whyOf(typed, about)
  return html`<label class="field"
    >${about.label}${input}${why !== null && html`<span class="bad lines">${why}</span>`}${about.hint && html`<span class="quiet">${about.hint}</span>`}</label
  >`
}

const typedIn = (typed: Typed, name: string): string | null => typed?.form.get(name) ?? null

/** Why a field was refused. A problem names it with what is around it: `apps.0`, `source.image`. */
function whyOf(typed: Typed, { name, codes = [] }: About): string | null {
  if (!typed) return null
  const { code, facts, message } = typed.problem
  const options = typeof facts['option'] === 'string' ? facts['option'].split('.') : []
  return options.includes(name) || codes.includes(code) ? message : null
}

const marks = (typed: Typed, about: About) => {
  const isRefused = whyOf(typed, about) !== null
  return { 'aria-invalid': isRefused && 'true', autofocus: isRefused }
}

/** Without what is absent. */
const given = (all: Record<string, string | number | undefined>) =>
  Object.fromEntries(
    Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
