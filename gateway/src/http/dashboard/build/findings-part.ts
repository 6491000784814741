import { html, type Html } from '../parts/html.ts'
import { linesOf, table } from '../parts/tables.ts'
import type { BuildModel, Finding } from './build-model.ts'
import { stepId, stepName } from './step-words.ts'

/** What BuildKit's linter says of the Dockerfile, with the place and the step that it made. */
export const findingsPart = ({ findings, steps }: Pick<BuildModel, 'findings' | 'steps'>): Html =>
  findings.length === 0
    ? html`<p class="quiet">None.</p>`
    : table(
        'Warnings of the linter',
        ['Where', 'Warning', 'Instruction', 'Step'],
        findings.map((finding) => {
          const at = stepOf(finding, steps)
          return [
            placeOf(finding),
            warningText(finding),
            finding.code === null ? '' : html`<span class="mono lines">${finding.code}</span>`,
            at < 0 ? '' : html`<a href="#${stepId(at)}">${stepName(steps[at]!)}</a>`,
          ]
        }),
      )

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
 * The index of the step that the instruction made, by the instruction in its name: an instruction
 * that only changes the image's facts, as CMD and LABEL do, has none.
 */
function stepOf({ code }: Finding, steps: BuildModel['steps']): number {
  if (code === null) return -1
  const wanted = plain(code)
  return steps.findIndex(({ name }) => plain(name.replace(/^\[[^\]\n]{0,120}\] /, '')) === wanted)
}

/** Of an instruction over several lines, BuildKit names the step in one. */
const plain = (text: string): string =>
  text.replaceAll('\\\n', ' ').split(/\s+/).filter(Boolean).join(' ').toLowerCase()
