import { html, type Html } from '../parts/html.ts'
import { table } from '../parts/tables.ts'
import { area, type Column, columnsOf, topOf } from './columns.ts'

/** What a column is made of. `look` is a class of `pictures.css`. */
export type Kind = { name: string; look: string }

export type ColumnPicture = {
  /** What the picture shows, in a sentence: all that a reader without it needs. */
  summary: string
  kinds: readonly Kind[]
  columns: readonly { values: readonly number[]; name: string; hasFailed?: boolean }[]
  /** The value at the upper edge. Default: that of the highest column. */
  top?: number
  /** What the first and the last column are, where columns are times. */
  ends?: readonly [string, string] | undefined
  /** A value in words: `3 min 5 s`. */
  text: (value: number) => string
}

/** Stacked columns with a legend, below a sentence that says the same. The page gives `numbers` too. */
export function columnPicture(picture: ColumnPicture): Html {
  const { summary, columns, text, ends } = picture
  const values = columns.map((each) => each.values)
  const top = picture.top ?? topOf(values)
  // Without a value there is nothing to draw: the sentence says so.
  if (top === 0) return html`<figure class="picture"><p>${summary}</p></figure>`
  const drawn = columnsOf(values, top)
  return html`<figure class="picture">
    <p>${summary}</p>
    <div class="plot">
      <div class="scale quiet" aria-hidden="true">
        <span>${text(top)}</span><span>${text(top / 2)}</span><span>0</span>
      </div>
      <svg viewBox="0 0 1000 210" preserveAspectRatio="none" role="img" aria-label="${summary}">
        <path class="grid" d="M0 0H1000M0 100H1000M0 200H1000" />
        ${drawn.map((column, at) => columnShape(picture, column, columns[at]!))}
      </svg>
      ${ends && html`<div class="ends quiet" aria-hidden="true"><span>${ends[0]}</span><span>${ends[1]}</span></div>`}
    </div>
    <figcaption>
      ${legend(picture)}
      ${drawn.some(({ isCut }) => isCut) && html`<span class="quiet">Columns with a bar on top go on above ${text(top)}.</span>`}
    </figcaption>
  </figure>`
}

/** The same numbers for readers who do not see the pictures. The page's script leaves it open. */
export const numbers = (id: string, ...[label, heads, rows]: Parameters<typeof table>): Html =>
  html`<details id="${id}-numbers" class="numbers">
    <summary>The numbers</summary>
    ${table(label, heads, rows)}
  </details>`

function columnShape(
  { kinds, text }: ColumnPicture,
  { left, width, parts, isCut }: Column,
  { values, name, hasFailed = false }: ColumnPicture['columns'][number],
): Html {
  const foot = area.height + 4
  return html`<g>
    ${parts.map(
      ({ at, top, height }) =>
        html`<rect
          class="${kinds[at]!.look}"
          x="${left}"
          y="${top}"
          width="${width}"
          height="${height}"
        >
          <title>${name}: ${kinds[at]!.name} ${text(values[at]!)}</title>
        </rect>`,
    )}
    ${isCut && html`<rect class="cut" x="${left}" y="0" width="${width}" height="4"></rect>`}
    ${hasFailed && html`<rect class="failed" x="${left}" y="${foot}" width="${width}" height="6"><title>${name}: failed</title></rect>`}
  </g>`
}

/** Of a single kind, the sentence says what it is. */
const legend = ({ kinds, columns }: ColumnPicture): Html =>
  html`<ul class="legend">
    ${kinds.length > 1 && kinds.map(({ name, look }) => html`<li>${swatch(look)}${name}</li>`)}
    ${columns.some(({ hasFailed }) => hasFailed) && html`<li>${swatch('failed low')}failed: a line below the column</li>`}
  </ul>`

const swatch = (look: string): Html =>
  html`<svg viewBox="0 0 12 12" aria-hidden="true">
    <rect class="${look}" width="12" height="12"></rect>
  </svg>`
