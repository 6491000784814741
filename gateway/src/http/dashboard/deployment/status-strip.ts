import { type Deployment, type DeploymentState, isFinal } from '#api/deployment.ts'
import type { Waiting } from '#api/event.ts'
import { waitsFor } from '#api/text/event-words.ts'
import { workingStates } from '../../../deployments/states.ts'
import { html, type Html } from '../parts/html.ts'
import { mark, type Mood, moodOf, stateWord } from '../parts/mark.ts'
import { durationText, runningSince } from '../parts/time.ts'

/** Each state that the deployment goes through, with the time that it took there, as links into the log. */
export function statusStrip(deployment: Deployment, waiting: Waiting | null): Html {
  const { state, phases } = deployment
  const ways: DeploymentState[] = ['pending', ...workingStates]
  const failedIn = moodOf(state) === 'bad' ? ways.findLast((way) => way in phases) : undefined
  const end = isFinal(state) ? state : deployment.options.deploy ? 'live' : 'built'
  return html`<div id="strip" data-part>
    <ol class="strip" aria-label="States of the deployment">
      ${ways.map((way) => {
        const mood = way === failedIn ? 'bad' : moodIn(deployment, way)
        return html`<li>
          <a href="#state-${way}">${mark(mood, stateWord(way))}</a
          ><span class="quiet">${timeIn(deployment, way)}</span>
        </li>`
      })}
      <li>
        <a href="#state-${end}"
          >${mark(isFinal(state) ? moodOf(state) : 'waiting', stateWord(end))}</a
        ><span class="quiet">${totalOf(deployment)}</span>
      </li>
    </ol>
    ${waiting && html`<p>Waits for ${waitsFor(waiting)}${waiting.place > 1 && `; position ${waiting.place}`}.</p>`}
  </div>`
}

function moodIn({ state, phases }: Deployment, way: DeploymentState): Mood {
  if (way === state) return moodOf(state)
  if (way in phases) return 'good'
  return isFinal(state) ? 'over' : 'waiting'
}

function timeIn({ state, phases, stateSince }: Deployment, way: DeploymentState): Html | string {
  const before = phases[way]
  if (way === state && stateSince !== null) return runningSince(stateSince, before)
  return before === undefined ? '' : durationText(before)
}

/** All of it, from the request to its end. */
function totalOf({ createdAt, endedAt }: Deployment): string {
  return endedAt === null
    ? ''
    : `after ${durationText(Date.parse(endedAt) - Date.parse(createdAt))}`
}
