import type { Deployment, DeploymentState } from '#api/deployment.ts'
import { workingStates } from '../../../deployments/states.ts'
import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { moodOf, stateMark, stateWord } from '../parts/mark.ts'
import { durationText, timeOf } from '../parts/time.ts'
import { columnPicture, numbers } from '../pictures/column-picture.ts'
import { medianOf, sumOf } from '../pictures/columns.ts'

const phases: DeploymentState[] = ['pending', ...workingStates]

/** Where the time of the last deployments went, oldest first. `all`: newest first. */
export function phasesPart(all: Deployment[]): Html {
  const ended = all.filter(isWithPhases).toReversed()
  if (ended.length === 0)
    return html`<p class="quiet">
      No deployment has ended yet. The picture begins with the first.
    </p>`
  return html`${columnPicture({
    summary: summaryOf(ended),
    kinds: phases.map((phase) => ({ name: nameOf(phase), look: `phase-${phase}` })),
    columns: ended.map((each) => ({
      values: timesOf(each),
      name: `#${each.number}`,
      hasFailed: moodOf(each.state) === 'bad',
    })),
    text: durationText,
  })}
  ${numbers(
    'phases',
    'Time in each state',
    ['Deployment', 'State', ...phases.map(nameOf), 'In all', 'When'],
    ended.toReversed().map((each) => [
      html`<a href="${addressOf('deployment', { id: each.id })}">#${each.number}</a>`,
      stateMark(each.state),
      ...phases.map((phase) => {
        const ms = each.phases[phase]
        return ms === undefined ? '' : durationText(ms)
      }),
      durationText(sumOf(timesOf(each))),
      timeOf(each.createdAt),
    ]),
  )}`
}

/** Older gateways kept no phases. What a newer deployment has replaced while it waited did nothing. */
const isWithPhases = ({ state, endedAt, phases: own }: Deployment): boolean =>
  endedAt !== null && state !== 'superseded' && Object.keys(own).length > 0

const timesOf = ({ phases: own }: Deployment): number[] => phases.map((phase) => own[phase] ?? 0)

const nameOf = (phase: DeploymentState): string =>
  phase === 'pending' ? 'waiting' : stateWord(phase)

/** How long they take, what takes the most of it, and how long they wait for it. */
function summaryOf(ended: Deployment[]): string {
  const sums = phases.map((phase) => ({
    phase,
    ms: sumOf(ended.map((each) => each.phases[phase] ?? 0)),
  }))
  const most = sums.reduce((largest, each) => (each.ms > largest.ms ? each : largest))
  const percent = Math.round((100 * most.ms) / Math.max(1, sumOf(sums.map(({ ms }) => ms))))
  const waits = ended.map((each) => each.phases.pending ?? 0)
  const failed = ended.filter(({ state }) => moodOf(state) === 'bad').length
  const usual = durationText(medianOf(ended.map((each) => sumOf(timesOf(each)))))
  const from = ended.length === 1 ? '' : `#${ended[0]!.number} to `
  return [
    `${from}#${ended.at(-1)!.number}, oldest first. Half of them took ${usual} or less.`,
    `${percent} % of all the time is ${nameOf(most.phase)}.`,
    `Half waited ${durationText(medianOf(waits))} or less, none more than ${durationText(Math.max(...waits))}.`,
    failed > 0 ? `${failed} of ${ended.length} failed.` : '',
  ]
    .filter(Boolean)
    .join(' ')
}
