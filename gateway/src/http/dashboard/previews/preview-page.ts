import type { Preview } from '#api/previews/preview.ts'
import type { LivingPreview } from '#api/previews/preview-stats.ts'
import { Problem } from '#api/problem.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { appLink } from '../lists/deployment-link.ts'
import { html, type Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'
import type { Page, PageContext } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { problemText } from '../parts/problem-page.ts'
import { facts, section } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'
import { previewActionsPart } from './preview-actions.ts'
import { costText, endsIn, lastRequestText, previewMark, sizesText } from './preview-words.ts'
import { type Requests, requestsOf } from './previews-page.ts'

const seconds = 5
const linesShown = 100

/** One preview: what it is, what its programs print, and what can be done with it. */
export const previewPage: Page = {
  path: addresses.preview,
  section: 'previews',
  assets: ['boards.css'],
  async show(context) {
    const { commands, caller, params } = context
    const preview = await commands.previews.find(caller, params['id'] ?? '')
    const { id, app, owner, state, problem, endedAt } = preview
    const isLiving = endedAt === null
    const [living, requests] = isLiving
      ? await Promise.all([
          commands.previews.living(caller, { app, owner }),
          requestsOf(context, { app, owner }),
        ])
      : [[], null]
    const now = living.find((each) => each.id === id)
    return {
      title: `Preview ${id}`,
      ...(endedAt === null && { live: { seconds } }),
      body: html`<p class="crumbs"><a href="${addressOf('previews')}">Previews</a></p>
        <h1>Preview ${id}</h1>
        ${section(
          'state',
          'State',
          html`<p>${previewMark(state)}</p>
            ${problem && problemText(problem.title, problem.detail, null)}
            ${now?.stuck && html`<p class="lines">${mark('warning', 'stuck')} since ${timeOf(now.stuck.since)}: ${now.stuck.why}</p>`}
            ${factsPart(preview)} ${now && requests && machinesPart(context, now, requests)}`,
        )}
        ${section('actions', 'What can be done', previewActionsPart(context, preview))}
        ${
          endedAt === null &&
          section(
            'logs',
            'What its programs printed last',
            await partOf(commands.previews.logs(caller, id, linesShown), ({ lines }) =>
              lines.length > 0
                ? html`<pre>${lines.map(({ text }) => `${text}\n`)}</pre>`
                : html`<p class="quiet">Nothing yet.</p>`,
            ),
          )
        }`,
    }
  },
}

/** What only a living one has. */
const machinesPart = ({ currency }: PageContext, now: LivingPreview, requests: Requests): Html =>
  facts([
    [
      'Last request',
      requests instanceof Problem
        ? html`<span class="lines">${requests.message}</span>`
        : lastRequestText(requests, now.id),
    ],
    ['Size', sizesText(now.sizes)],
    ['Cost', costText(now, currency)],
  ])

const factsPart = (preview: Preview): Html =>
  facts([
    ['App', appLink(preview.app, preview.owner)],
    ['Address', preview.url && html`<a href="${preview.url}">${preview.url}</a>`],
    ['Ends', preview.endedAt === null ? endsIn(preview.expiresAt) : null],
    ['Ended', preview.endedAt && timeOf(preview.endedAt)],
    [
      'Why',
      preview.ending &&
        `${preview.ending.why}${preview.ending.by ? `, by ${preview.ending.by}` : ''}`,
    ],
    ['Made', timeOf(preview.createdAt)],
    ['By', preview.triggeredBy?.name ?? null],
    ['Ready', preview.readyAt && timeOf(preview.readyAt)],
    [
      'Deployment',
      html`<a href="${addressOf('deployment', { id: preview.deployment })}"
        >${preview.deployment}</a
      >`,
    ],
    [
      'Template',
      preview.template && `${preview.template.name}, version ${preview.template.version}`,
    ],
    ['App on Fly', preview.flyApp],
  ])
