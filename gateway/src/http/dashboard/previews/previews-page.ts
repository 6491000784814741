import { readFilter } from '#api/overview/overview.ts'
import { Problem } from '#api/problem.ts'
import type {
  LivingPreview,
  PreviewRequests,
  PreviewStats,
  StatsFilter,
} from '#api/previews/preview-stats.ts'
import { type Preview, PreviewFilter, type PreviewPage } from '#api/previews/preview.ts'
import { moneyText } from '#api/status/cost.ts'
import { statsOf } from '../../../commands/previews/count-previews.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { appLink } from '../lists/deployment-link.ts'
import { firstCommand } from '../lists/first-command.ts'
import { html, type Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'
import type { Page, PageContext } from '../parts/page.ts'
import { facts, section, table } from '../parts/tables.ts'
import { runningSince, timeOf } from '../parts/time.ts'
import { given } from '../lists/given.ts'
import { cursorOf } from '../lists/cursor.ts'
import { poolsPart } from './pools-part.ts'
import { costText, endsIn, lastRequestText, previewMark, sizesText } from './preview-words.ts'

const seconds = 10
const endedShown = 20
const livingShown = 200

/** Previews that live: whose, since when, until when, what they cost, and which are stuck. */
export const previewsPage: Page = {
  path: addresses.previews,
  section: 'previews',
  assets: ['boards.css'],
  async show(context) {
    const { commands, caller, query, currency, gateway } = context
    const { app, owner } = readFilter(PreviewFilter.pick({ app: true, owner: true }), given(query))
    const page = { limit: endedShown, before: cursorOf(query) }
    const [living, requests, all, pools] = await Promise.all([
      commands.previews.living(caller, { app, owner }),
      requestsOf(context, { app, owner }),
      commands.previews.list(caller, { app, owner }, page),
      commands.pools.list(caller, { app }),
    ])
    const isEmpty = living.length + all.previews.length === 0
    const stats = statsOf(living, { now: Date.now(), currency })
    return {
      title: 'Previews',
      live: { seconds },
      body: html`<h1>Previews</h1>
        ${filterForm(context)}
        ${stats.stuck.length > 0 && section('stuck', 'Stuck', stuckPart(stats))}
        ${section(
          'living',
          'Living',
          living.length > 0
            ? html`${summary(stats)}
              ${livingTable(living.slice(0, livingShown), requests, currency)}
              ${requestsNote(requests)}
              ${living.length > livingShown && html`<p class="quiet">${living.length - livingShown} more. Filter by app or owner.</p>`}`
            : html`<p>No preview lives${isEmpty ? ' yet' : ''}.</p>`,
        )}
        ${pools.length > 0 && section('pools', 'Pools', poolsPart(pools))}
        ${
          isEmpty
            ? firstCommand(
                'A preview is a machine with an owner and an end. To make one of a folder:',
                gateway,
                'tarmac preview my-app',
              )
            : section('ended', 'Newest, with those that have ended', newestPart(context, all))
        }`,
    }
  },
}

const filterForm = ({ query }: PageContext): Html =>
  html`<form class="filter" method="get" action="${addressOf('previews')}" role="search">
    <label class="field">App <input name="app" value="${query.get('app')}" /></label>
    <label class="field">Owner <input name="owner" value="${query.get('owner')}" /></label>
    <button>Filter</button>
  </form>`

const stuckPart = ({ stuck }: PreviewStats): Html =>
  table(
    'Previews that make no progress',
    ['Preview', 'App', 'Since', 'Why'],
    stuck.map(({ id, app, owner, since, why }) => [
      html`<a href="${addressOf('preview', { id })}">${id}</a>`,
      appLink(app, owner),
      timeOf(since),
      html`${mark('warning', 'stuck')} ${why}`,
    ]),
  )

const summary = ({ count, states, currency, perHour, unpriced, owners }: PreviewStats): Html =>
  facts([
    [
      'How many',
      `${count} (${Object.entries(states)
        .map(([state, of]) => `${of} ${state}`)
        .join(', ')})`,
    ],
    ['Owners', owners.length],
    [
      'Cost',
      currency !== null && perHour !== null
        ? `${moneyText(perHour, currency)} an hour while all run`
        : null,
    ],
    ['Price not known', currency !== null && unpriced > 0 ? `${unpriced} of them` : null],
  ])

export type Requests = PreviewRequests | Problem

/** Fly counts requests, and may not answer. */
export const requestsOf = (
  { commands, caller }: PageContext,
  filter: StatsFilter,
): Promise<Requests> =>
  commands.previews.requests(caller, filter).catch((error: unknown) => {
    if (error instanceof Problem) return error
    throw error
  })

const livingTable = (living: LivingPreview[], requests: Requests, currency: string | null): Html =>
  table(
    'Previews that live, oldest first',
    [
      'Preview',
      'App and owner',
      'State',
      'Age',
      'Ends',
      'Last request',
      'Size',
      'Cost an hour',
      'Address',
    ],
    living.map((preview) => [
      html`<a href="${addressOf('preview', { id: preview.id })}">${preview.id}</a>`,
      appLink(preview.app, preview.owner),
      html`${previewMark(preview.state)}${preview.stuck && html` ${mark('warning', 'stuck')}`}`,
      runningSince(preview.createdAt),
      endsIn(preview.expiresAt),
      lastRequestText(requests instanceof Problem ? null : requests, preview.id),
      sizesText(preview.sizes),
      costText(preview, currency),
      preview.url ? html`<a href="${preview.url}">${preview.url}</a>` : '',
    ]),
  )

const requestsNote = (requests: Requests): Html =>
  requests instanceof Problem
    ? html`<p class="quiet lines">Last requests are not known. ${requests.message}</p>`
    : html`<p class="quiet">
        Last requests are those that came by Fly’s proxy, to ${requests.stepSeconds / 60} minutes.
        Requests on the private network are not counted.
        ${requests.omitted > 0 && `Of ${requests.omitted} older previews Fly was not asked.`}
      </p>`

const newestPart = ({ query }: PageContext, { previews, next }: PreviewPage): Html =>
  html`${table(
    'Previews, newest first',
    ['Preview', 'App and owner', 'State', 'Made', 'Ended', 'Why'],
    previews.map((preview) => [
      html`<a href="${addressOf('preview', { id: preview.id })}">${preview.id}</a>`,
      appLink(preview.app, preview.owner),
      previewMark(preview.state),
      timeOf(preview.createdAt),
      preview.endedAt ? timeOf(preview.endedAt) : '',
      endingText(preview),
    ]),
  )}
  ${
    next &&
    html`<p>
      <a
        href="${addressOf('previews', {}, { app: query.get('app'), owner: query.get('owner'), cursor: next })}"
        >Older previews</a
      >
    </p>`
  }`

const endingText = ({ ending, problem }: Preview): string =>
  problem?.title ?? (ending ? `${ending.why}${ending.by ? `, by ${ending.by}` : ''}` : '')
