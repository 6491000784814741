import { html, type Html } from '../parts/html.ts'
import { linesOf, table } from '../parts/tables.ts'
import type { BuildModel, Finding } from './build-model.ts'
import { stepId, stepName } from './step-words.ts'

/** What BuildKit's linter says of the Dockerfile, with the place and the step that it made. */
export function findingsPart({ findings, steps }: Pick<BuildModel, 'findings' | 'steps'>): Html {
  if (findings.length === 0) return html`<p class="quiet">None.</p>`
  const places = placesOf(steps)
  const link = (at: number | undefined) =>
    at === undefined ? '' : html`<a href="#${stepId(at)}">${stepName(steps[at]!)}</a>`
  return table(
    'Warnings of the linter',
    ['Where', 'Warning', 'Instruction', 'Step'],
    findings.map((finding) => [
      placeOf(finding),
      warningText(finding),
      finding.code === null ? '' : html`<span class="mono lines">${finding.code}</span>`,
      link(finding.code === null ? undefined : places.get(plain(finding.code))),
    ]),
  )
}

const placeOf = ({ file, line }: Finding): Html =>
  html`<code>${file}${line !== null && `:${line}`}</code>`

/** BuildKit ends the text with the address of the rule in brackets. */
function warningText({ text }: Finding): Html {
  const [, words, url] = /^([^]*) \((https:\/\/[^\s()]{1,300})\)$/.exec(text) ?? []
  return words === undefined || url === undefined
    ? linesOf(text)
    : html`${linesOf(words)} <a href="${url}" rel="noreferrer">About the rule</a>`
}

/**
 * The index of each step by the instruction that made it, which is in its name. An instruction that
 * only changes the facts of the image, as CMD and LABEL do, makes none.
 */
const placesOf = (steps: BuildModel['steps']): Map<string, number> =>
  new Map(steps.map(({ name }, at) => [plain(name.replace(/^\[[^\]\n]{0,120}\] /, '')), at]))

/** Of an instruction over several lines, BuildKit names the step in one. */
const plain = (text: string): string =>
  text.replaceAll('\\\n', ' ').split(/\s+/).filter(Boolean).join(' ').toLowerCase()
