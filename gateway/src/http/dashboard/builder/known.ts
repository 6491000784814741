import { isUnknown, type Unknown } from '#api/status/part.ts'
import { html, type Html } from '../parts/html.ts'

/** A part of the status, or why it is not known. */
export const known = <Facts extends object>(
  part: Facts | Unknown,
  show: (facts: Facts) => Html,
): Html =>
  isUnknown(part) ? html`<p class="quiet lines">Not known: ${part.unknown}</p>` : show(part)
