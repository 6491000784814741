import { routerOf, type RouterView } from '#api/router/router.ts'
import { appLink } from '../lists/deployment-link.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import type { Page, PageContext } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { facts, section, table } from '../parts/tables.ts'
import { routerActionsPart } from './router-actions.ts'
import { routerMark } from './routers-page.ts'

const seconds = 10
const routesShown = 200

/** One router: where it runs, what it routes, and the forms that change it. */
export const routerPage: Page = {
  path: addresses.router,
  section: 'routers',
  assets: ['boards.css'],
  async show(context) {
    const { commands, caller, params } = context
    const app = params['app'] ?? ''
    const router = await commands.router.show(caller, { app, router: routerOf(app) })
    return {
      title: `Router of ${app}`,
      live: { seconds },
      body: html`<p class="crumbs"><a href="${addressOf('routers')}">Routers</a></p>
        <h1>Router of ${app}</h1>
        ${section('facts', 'Where it runs', html`${factsPart(router)} ${await machinesPart(context, router)}`)}
        ${section('routes', 'What it routes', routesPart(router))}
        ${section('actions', 'What can be done', await routerActionsPart(context, router))}`,
    }
  },
}

const factsPart = (router: RouterView): Html =>
  facts([
    ['App', appLink(router.router)],
    ['State', routerMark(router)],
    ['For owners of', appLink(router.app)],
    ['Domain', router.domain === null ? null : `*.${router.domain}`],
    [
      'Finds an owner by',
      html`<code>tarmac-owner: NAME</code>,
        <code>/~NAME/</code
        >${router.domain !== null && html`, <code>NAME.${router.domain}</code>`}`,
    ],
  ])

const machinesPart = ({ commands, caller }: PageContext, { router }: RouterView): Promise<Html> =>
  partOf(commands.machines.list(caller, router), (machines) =>
    machines.length === 0
      ? html`<p class="quiet">Fly has no machines of it.</p>`
      : html`<p>
          ${machines.map(({ id, region, state }, at) => html`${at > 0 && ', '}<code>${id}</code> (${region}, ${state})`)}.
          They sleep when nobody asks.
        </p>`,
  )

function routesPart({ app, routes }: RouterView): Html {
  if (routes.length === 0)
    return html`<p class="quiet">
      No owner of ${app} has a machine: it answers every request with 404.
    </p>`
  return html`${table(
    'Routes',
    ['Owner', 'Requests go to'],
    routes
      .slice(0, routesShown)
      .map(({ owner, machines }) => [
        html`<a href="${addressOf('app', { app }, { owner })}">${owner}</a>`,
        html`${machines.map((id, at) => html`${at > 0 && ', '}<code>${id}</code>`)}`,
      ]),
  )}
  ${routes.length > routesShown && html`<p class="quiet">${routes.length - routesShown} more are not listed here.</p>`}`
}
