import { html, type Html } from '../parts/html.ts'
import { share } from './columns.ts'

/** What is not nothing should be seen. */
const leastWidth = 0.6

/**
 * Bars from the left, one below the other, as long as their part of `whole`. The text beside says it.
 * Nothing if all of them are.
 */
export function bars(all: readonly { value: number; look: string }[], whole: number): Html | '' {
  const widths = all.map(({ value }) => 100 * share(value, whole))
  if (widths.every((width) => width === 0)) return ''
  const height = 10 / all.length
  return html`<svg class="bars" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
    ${widths.map(
      (width, at) =>
        width > 0 &&
        html`<rect
          class="${all[at]!.look}"
          x="0"
          y="${(at * height).toFixed(1)}"
          width="${Math.max(leastWidth, width).toFixed(1)}"
          height="${(height * 0.9).toFixed(1)}"
        ></rect>`,
    )}
  </svg>`
}
