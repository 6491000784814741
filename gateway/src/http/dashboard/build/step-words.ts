import { groupName, statusMarks, statusWords } from '../log/group-heading.ts'
import { html, type Html } from '../parts/html.ts'
import { durationText } from '../parts/time.ts'
import type { BuildStep } from './build-model.ts'

/** Where the step is on the page of its build. `at`: its index. */
export const stepId = (at: number): string => `step-${at + 1}`

export const stepName = (step: BuildStep): Html =>
  html`<span class="mono">${groupName(step)}</span>`

/** Cached, done or failed, as in the log. */
export function stepMark({ status }: BuildStep): Html {
  const { mood, shape } = statusMarks[status]
  return html`<span class="mark ${mood}"
    ><span class="shape" aria-hidden="true">${shape}</span>${statusWords[status]}</span
  >`
}

export const stepTime = ({ ms }: BuildStep): string => (ms === null ? '' : durationText(ms))

/** The class of its bar. */
export const stepLook = ({ status }: BuildStep): string =>
  status === 'failed' ? 'failed' : 'phase-building'
