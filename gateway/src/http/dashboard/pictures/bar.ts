import { html, type Html } from '../parts/html.ts'
import { share } from './columns.ts'

/** Bars from the left, one below the other, as long as their part of `whole`. The text beside says it. */
export const bars = (all: readonly { value: number; look: string }[], whole: number): Html =>
  html`<svg class="bars" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
    ${all.map(({ value, look }, at) => {
      const height = 10 / all.length
      const [top, width] = [(at * height).toFixed(1), (100 * share(value, whole)).toFixed(1)]
      return html`<rect
        class="${look}"
        x="0"
        y="${top}"
        width="${width}"
        height="${(height * 0.9).toFixed(1)}"
      ></rect>`
    })}
  </svg>`
