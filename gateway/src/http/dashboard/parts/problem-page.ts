import type { Problem } from '#api/problem.ts'
import { faultTexts } from '#api/problem/fault-texts.ts'
import { problems } from '#api/problem/codes.ts'
import { addressOf } from './addresses.ts'
import { html, type Html } from './html.ts'
import { mark } from './mark.ts'
import type { ShownPage } from './page.ts'

/** A problem as in the record and in answers of the API. */
export const problemText = (title: string, detail: string, fault: Html | string | null): Html =>
  html`<p class="problem">${mark('bad', title)}</p>
    <p class="lines">${detail}</p>
    ${fault && html`<p class="quiet">${fault}</p>`}`

/**
 * The page of a call that failed: what, why, whose fault it is, and where to go next. `back`: the page
 * whose form it was.
 */
export function problemPage(
  problem: Problem,
  { requestId, back }: { requestId: string; back: string | null },
): ShownPage {
  const { code, message, status } = problem
  const { title, fault } = problems[code]
  return {
    title,
    status,
    body: html`<h1>${title}</h1>
      ${problemText(code, message, faultTexts[fault])}
      ${code === 'internal' && html`<p class="quiet">Request ${requestId}</p>`}
      <p>
        ${back !== null && html`<a href="${back}">Back to the form</a> · `}${problemNext(problem)}
      </p>`,
  }
}

/** Where to go next after a call that failed. */
export function problemNext({ code, facts: { deployment } }: Problem): Html {
  return html`${problems[code].retry && 'Try it again later. '}
    ${typeof deployment === 'string' && html`<a href="${addressOf('deployment', { id: deployment })}">The deployment</a> · `}
    <a href="/problems/${code}">What ${code} means</a> ·
    <a href="${addressOf('home')}">All apps</a>`
}
