import type { SizesStatus } from '#api/status/sizes.ts'
import { html, type Html } from '../parts/html.ts'
import { sizeText } from '../parts/size.ts'
import { facts } from '../parts/tables.ts'

/** The limits that the gateway works with, and where each comes from. */
export const limitsPart = ({ limits }: SizesStatus): Html =>
  html`<details id="all-limits">
    <summary>${limits.length} limits</summary>
    ${facts(
      limits.map(({ name, value, unit, setting, from, rule }) => [
        name,
        html`${unit === 'bytes' ? sizeText(value) : `${value} ${unit}`}
          <span class="quiet"
            >${from === 'setting' ? `set by ${setting}` : (rule ?? `the default; ${setting} changes it`)}</span
          >`,
      ]),
    )}
  </details>`
