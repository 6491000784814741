import { type Deployment, isFinal } from '#api/deployment.ts'
import type { Waiting } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import { shortStep } from '#api/text/short-step.ts'
import type { LogModel } from '../log/log-model.ts'
import { failedGroup, type LogWindow, readLog, windowOf } from '../log/read-log.ts'
import { renderGroups } from '../log/render-log.ts'
import { attributes, html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'

/** The assets of a page that has a log. */
export const logAssets = ['log.ts', 'log.css']

type Look = {
  /** Null: the page does not need it, or there is none. */
  log: LogModel | null
  window: LogWindow | null
  /** What a pending deployment waits for. */
  waiting: Waiting | null
  /** Why there is no log. */
  missing: string | null
}

/** Reads what the page needs of the log. A refresh shows no log: its script has it already. */
export async function lookAtLog(
  { commands, caller, store, query, isRefresh }: PageContext,
  { id, state }: Deployment,
): Promise<Look> {
  const window = windowOf(query)
  try {
    await commands.logOf(caller, id)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return { log: null, window, waiting: null, missing: error.message }
  }
  const isNeeded = !isRefresh || state === 'pending'
  const log = isNeeded ? await readLog(store, id, window) : null
  return { log, window, waiting: log?.waiting ?? null, missing: null }
}

/** The log by step. It reads without a script, which shows all of it in its place. */
export const logPart = ({ id, state }: Deployment, { log, window, missing }: Look): Html =>
  html`<section
    id="log"
    aria-labelledby="log-title"
    ${attributes({ 'data-log': missing === null && fill(routes.events, { id }), 'data-seq': log?.seq ?? null, 'data-over': isFinal(state) })}
  >
    <h2 id="log-title">Log</h2>
    ${
      missing !== null
        ? html`<p class="lines">${missing}</p>`
        : html`<p class="log-links">
              ${failureLink(log)}
              <a href="${fill(routes.log, { id })}" download>Download the whole log</a> ·
              <a href="${fill(routes.log, { id })}?format=ndjson" download>as NDJSON</a>
            </p>
            ${tools}
            <div id="log-text">${log && renderGroups(log.groups, window)}</div>
            ${!isFinal(state) && html`<noscript><p class="quiet">The deployment continues. Load the page again for more of its log.</p></noscript>`}`
    }
  </section>`

function failureLink(log: LogModel | null): Html | undefined {
  const failed = failedGroup(log?.groups ?? [])
  if (!failed) return undefined
  const { number, count, name } = failed
  return html`<a href="#s${number}${count > 0 && `L${count}`}"
      >To the failure, in ${shortStep(name)}</a
    >
    · `
}

/** What the script adds. */
const tools = html`<div id="log-tools" hidden>
  <input type="search" id="log-search" placeholder="Search the log" aria-label="Search the log" />
  <span id="log-found" role="status"></span>
  <button type="button" id="log-previous" aria-label="Previous match">↑</button>
  <button type="button" id="log-next" aria-label="Next match">↓</button>
  <button
    type="button"
    id="log-pattern"
    title="Search by a regular expression"
    aria-label="Regular expression"
  >
    .*
  </button>
  <select id="log-times" aria-label="Times of lines">
    <option value="off">No times</option>
    <option value="clock">Time of day</option>
    <option value="elapsed">Since the start</option>
  </select>
  <button type="button" id="log-wrap">Wrap</button>
  <button type="button" id="log-copy" title="Copies the steps that are open">Copy</button>
  <button type="button" id="log-whole" title="Escape leaves it">Full window</button>
  <button type="button" id="log-follow" aria-pressed="false">Follow</button>
</div>`
