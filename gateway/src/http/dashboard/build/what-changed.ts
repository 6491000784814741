import { shortStep } from '#api/text/short-step.ts'
import { type Aligned, isRenamed } from './align-steps.ts'
import type { BuildStep } from './build-model.ts'
import type { ComparedFact } from './compared-facts.ts'

/** Why the second build is another one, the first cause first. At most a few sentences. */
export function whatChanged(
  facts: readonly ComparedFact[],
  steps: readonly Aligned[] | null,
): string[] {
  const causes = facts.filter(({ differs, isCause }) => differs && isCause)
  const said = [...causes.map(sentenceOf), ...(steps === null ? [] : stepSentences(steps))]
  return said.length > 0 ? said : ['Both have the same plan, base images and source.']
}

const sentenceOf = ({ name, a, b }: ComparedFact): string =>
  `${name}: ${cut(a)} before, ${cut(b)} now.`

const cut = (text: string | null): string => (text ?? 'none').slice(0, 200).replaceAll('\n', ' ')

function stepSentences(steps: readonly Aligned[]): string[] {
  const fresh = steps.find((row) => row.b !== null && (row.a === null || isRenamed(row)))
  const gone = steps.find(({ b }) => b === null)
  const ran = steps.find(({ b }) => b !== null && hasRun(b))
  return [
    fresh?.b && `The first step that the earlier build did not have: ${shortStep(fresh.b.name)}.`,
    gone?.a && `The first step that is not there any more: ${shortStep(gone.a.name)}.`,
    ran?.b
      ? `The first step that ran instead of coming from the cache: ${shortStep(ran.b.name)}.`
      : steps.length > 0 && 'Every step of the later build came from the cache.',
  ].filter((each) => typeof each === 'string')
}

/** Images that it starts from and the export are no work of the cache: every build has them. */
const hasRun = ({ status, name }: BuildStep): boolean =>
  status !== 'cached' && !/\] FROM |^docker-image:|^exporting |^importing /.test(name)
