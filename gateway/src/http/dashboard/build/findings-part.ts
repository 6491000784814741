import { html, type Html } from '../parts/html.ts'
import { linesOf, table } from '../parts/tables.ts'
import type { BuildModel } from './build-model.ts'

/** What BuildKit's linter says of the Dockerfile, with the place. */
export const findingsPart = ({ findings }: Pick<BuildModel, 'findings'>): Html =>
  findings.length === 0
    ? html`<p class="quiet">None.</p>`
    : table(
        'Warnings of the linter',
        ['Where', 'Warning'],
        findings.map(({ file, line, text }) => [
          html`<code>${file}${line !== null && `:${line}`}</code>`,
          linesOf(text),
        ]),
      )
