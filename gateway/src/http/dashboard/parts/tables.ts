import { html, type Html } from './html.ts'

/** A table with a name for screen readers. On a narrow screen each row becomes a list. */
export const table = (
  label: string,
  heads: readonly string[],
  rows: readonly (readonly (Html | string | number)[])[],
): Html =>
  html`<div class="wide">
    <table>
      <caption class="unseen">
        ${label}
      </caption>
      <thead>
        <tr>
          ${heads.map((head) => html`<th scope="col">${head}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${row.map((cell, at) => html`<td data-head="${heads[at]}">${cell !== '' && html`<div>${cell}</div>`}</td>`)}
            </tr> `,
        )}
      </tbody>
    </table>
  </div>`

/** Names and values. A null value is left out. */
export const facts = (rows: readonly (readonly [string, Html | string | number | null])[]): Html =>
  html`<dl class="facts">
    ${rows.map(
      ([name, value]) =>
        value !== null &&
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`

/** One part of a page. `id` makes it a part that the page's script replaces when something changes. */
export const section = (id: string, title: string, body: Html): Html =>
  html`<section id="${id}" data-part aria-labelledby="${id}-title">
    <h2 id="${id}-title">${title}</h2>
    ${body}
  </section>`

/** A command to type. */
export const command = (line: string): Html => html`<pre class="command"><code>${line}</code></pre>`

/** A text of several lines. */
export const linesOf = (text: string): Html => html`<span class="lines">${text}</span>`
