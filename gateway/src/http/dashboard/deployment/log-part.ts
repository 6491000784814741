import { type Deployment, isFinal } from '#api/deployment.ts'
import type { DeploymentEvent, Waiting } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import { renderEvent } from '#api/text/render-event.ts'
import { html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'

const maxEvents = 2000

type Look = {
  events: DeploymentEvent[]
  lastSeq: number
  /** What a pending deployment waits for. */
  waiting: Waiting | null
  /** Why there is no log. */
  missing: string | null
}

/** Reads the beginning of the log. */
export async function lookAtLog(
  { commands, caller, store }: PageContext,
  { id, state }: Deployment,
): Promise<Look> {
  try {
    await commands.logOf(caller, id)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return { events: [], lastSeq: 0, waiting: null, missing: error.message }
  }
  const events = await store.eventsAfter(id, 0, maxEvents)
  const waiting = events.findLast((event) => event.type === 'waiting') ?? null
  return {
    events,
    lastSeq: events.at(-1)?.seq ?? 0,
    waiting: state === 'pending' ? waiting : null,
    missing: null,
  }
}

/** The log as text: each state has its place, where the status strip leads. */
export const logPart = ({ id, createdAt, state }: Deployment, { events, missing }: Look): Html =>
  html`<section id="log" aria-labelledby="log-title">
    <h2 id="log-title">Log</h2>
    ${
      missing !== null
        ? html`<p class="lines">${missing}</p>`
        : html`<p><a href="${fill(routes.log, { id })}" download>Download the whole log</a></p>
            <pre class="log" tabindex="0" aria-label="Log">
${events.map((event) => eventText(event, createdAt))}</pre>
            ${events.length === maxEvents && html`<p>These are the first ${maxEvents} events.</p>`}
            ${!isFinal(state) && html`<p class="quiet">The deployment continues. Load the page again for more of its log.</p>`}`
    }
  </section>`

const eventText = (event: DeploymentEvent, createdAt: string): Html =>
  event.type === 'state'
    ? html`<span id="state-${event.state}">${renderEvent(event, createdAt)}</span>`
    : html`${renderEvent(event, createdAt)}`
