import { shortStep } from '#api/text/short-step.ts'
import { html, type Html } from '../parts/html.ts'
import { sizeText } from '../parts/size.ts'
import { table } from '../parts/tables.ts'
import { durationText } from '../parts/time.ts'
import { bars } from '../pictures/bar.ts'
import { sumOf } from '../pictures/columns.ts'
import type { BuildModel, BuildStep } from './build-model.ts'
import { stepId, stepLook, stepMark, stepName, stepTime } from './step-words.ts'

/** The steps of a build in their order: which came from the cache, and what the others took. */
export function stepsPart({ steps, omitted }: Pick<BuildModel, 'steps' | 'omitted'>): Html {
  if (steps.length === 0)
    return html`<p class="quiet">
      No step ran: the image existed already, or the build has not begun.
    </p>`
  const longest = Math.max(...steps.map(({ ms }) => ms ?? 0))
  return html`<p>${summaryOf(steps)}</p>
    ${table(
      'Steps of the build',
      ['Step', 'Result', 'Time', 'Of the longest', 'CPU time', 'Memory at most'],
      steps.map((step, at) => [
        html`<span id="${stepId(at)}" class="step">${stepName(step)}</span>`,
        stepMark(step),
        stepTime(step),
        bars([{ value: step.ms ?? 0, look: stepLook(step) }], longest),
        step.cpuMs === null ? '' : durationText(step.cpuMs),
        step.peakMemoryBytes === null ? '' : sizeText(step.peakMemoryBytes),
      ]),
    )}
    ${omitted > 0 && html`<p class="quiet">${omitted} more steps are in the log.</p>`}`
}

function summaryOf(steps: BuildStep[]): string {
  const cached = steps.filter(({ status }) => status === 'cached').length
  const slowest = steps.toSorted((a, b) => (b.ms ?? 0) - (a.ms ?? 0))[0]!
  const most = steps.toSorted((a, b) => (b.peakMemoryBytes ?? 0) - (a.peakMemoryBytes ?? 0))[0]!
  return [
    `${steps.length} ${steps.length === 1 ? 'step' : 'steps'}, ${cached} from the cache.`,
    slowest.ms
      ? `The longest: ${shortStep(slowest.name)}, ${durationText(slowest.ms)} of ${durationText(sumOf(steps.map(({ ms }) => ms ?? 0)))} in all steps.`
      : '',
    most.peakMemoryBytes
      ? `The most memory: ${shortStep(most.name)}, ${sizeText(most.peakMemoryBytes)}.`
      : '',
  ]
    .filter(Boolean)
    .join(' ')
}
