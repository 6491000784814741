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

/** The page of a call that failed: what, why, whose fault it is, and where to go next. */
export function problemPage({ code, message, status }: Problem, requestId: string): ShownPage {
  const { title, fault } = problems[code]
  return {
    title,
    status,
    body: html`<h1>${title}</h1>
      ${problemText(code, message, faultTexts[fault])}
      ${code === 'internal' && html`<p class="quiet">Request ${requestId}</p>`}
      <p>
        <a href="/problems/${code}">What ${code} means</a> ·
        <a href="${addressOf('home')}">All apps</a>
      </p>`,
  }
}
