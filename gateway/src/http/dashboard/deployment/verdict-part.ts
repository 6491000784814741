import type { Deployment } from '#api/deployment.ts'
import {
  allWarnings,
  clientCommands,
  detailOf,
  faultTextOf,
  lastLinesOf,
  nextStep,
} from '#api/text/render-verdict.ts'
import { visible } from '#api/text/visible-text.ts'
import { html, type Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'

/** Why it failed and what to do next, in the words of the client and of the log; or what to know of it. */
export function verdictPart(deployment: Deployment): Html {
  const { problem, state } = deployment
  const warnings = allWarnings(deployment).map((text) => text.replace(/^warning: /, ''))
  return html`<div id="verdict" data-part>
    ${
      problem &&
      html`<div class="verdict ${state === 'cancelled' || state === 'superseded' ? 'over' : 'bad'}">
        <h2>${problem.title}</h2>
        <p class="lines">${detailOf(problem)}</p>
        ${lastLines(lastLinesOf(problem))}
        ${faultTextOf(problem) && html`<p>${faultTextOf(problem)}</p>`}
        <p>${nextStep(deployment, clientCommands)}</p>
      </div>`
    }
    ${warnings.map((text) => html`<p class="lines">${mark('warning', 'warning')} ${text}</p>`)}
  </div>`
}

const lastLines = (lines: string[]): Html | false =>
  lines.length > 0 &&
  html`<pre aria-label="The last lines of the program">${lines.map(visible).join('\n')}</pre>`
