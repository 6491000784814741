import type { DriftList } from '#api/drift/drift-list.ts'
import { acceptForm } from '../drift/drift-page.ts'
import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'
import type { PageContext } from '../parts/page.ts'
import { timeOf } from '../parts/time.ts'

/** What the daily look found that Fly has other than Tarmac expects. */
export async function driftPart(
  context: PageContext,
  app: string,
  { checkedAt, apps }: DriftList,
): Promise<Html> {
  const lookNow = html`<a href="${addressOf('drift', {}, { app })}">Look now</a>`
  const own = apps.find((each) => each.app === app)
  if (!own)
    return checkedAt === null
      ? html`<p class="quiet">The gateway looks once a day, and has not looked yet. ${lookNow}</p>`
      : html`<p>${mark('good', 'none')} at the last look, ${timeOf(checkedAt)}. ${lookNow}</p>`
  return html`${own.problem !== null && html`<p class="lines">${mark('warning', 'not read')} ${own.problem}</p>`}
    ${own.findings.map(({ text, advice, since }) => html`<p class="lines">${mark('warning', 'drift')} ${text} ${advice}${since && html` <span class="quiet">Since ${timeOf(since)}.</span>`}</p>`)}
    <p class="quiet">Looked at ${timeOf(own.lookedAt)}. ${lookNow}</p>
    ${await acceptForm(context, app, own.findings, 'app')}`
}
