import type { Request, RequestHandler, Response, Router } from 'express'
import { Problem } from '#api/problem.ts'
import type { GuardedCommands } from '../../commands/access/guarded.ts'
import { type Authorize, callerOf, knownCallerOf, type Prove } from '../auth.ts'
import type { ServerDeps } from '../deps.ts'
import { foreseen, retryAfterOf } from '../problem.ts'
import { queryOf } from '../query.ts'
import { ownActions, ownActionPages } from './actions/actions.ts'
import { appPage } from './app/app-page.ts'
import { releaseDiffPage } from './app/release-diff-page.ts'
import { boardActions, boardPages } from './boards.ts'
import { deploymentPage } from './deployment/deployment-page.ts'
import { editActions, editPages } from './edit/edit.ts'
import { readForm } from './forms/read-form.ts'
import { pageOfForm, refusalPart } from './forms/refused-form.ts'
import { homePage } from './home/home-page.ts'
import { html } from './parts/html.ts'
import { addresses } from './parts/addresses.ts'
import { sendAsset } from './parts/assets.ts'
import { formKeyField } from './parts/form.ts'
import { setPageHeaders } from './parts/headers.ts'
import { layout } from './parts/layout.ts'
import type { Action, Page, PageContext, ShownPage } from './parts/page.ts'
import { problemPage } from './parts/problem-page.ts'
import { cameByTls, sessionCookieOf, setSession } from './session/cookie.ts'
import { assertOwnForm, formKeyOf } from './session/form-key.ts'
import { logIn, logOut, logOutEverywhere } from './session/log-in.ts'
import { loginPage, ownPage, pageBefore } from './session/login-page.ts'

/** Every page of the dashboard. */
const pages: Page[] = [
  homePage,
  appPage,
  releaseDiffPage,
  deploymentPage,
  ...ownActionPages,
  ...editPages,
  ...boardPages,
]
/** What forms of the pages do. */
const actions: Action[] = [logOut, logOutEverywhere, ...ownActions, ...editActions, ...boardActions]

export type DashboardDeps = {
  commands: GuardedCommands
  server: ServerDeps
  authorize: Authorize
  prove: Prove
}

/** Adds the dashboard. Before `authorize` of the API: its pages send a stranger to the login. */
export function addDashboard(app: Router, deps: DashboardDeps): void {
  app.use(addresses.home, (_request, response, next) => {
    setPageHeaders(response)
    next()
  })
  app.get('/', (request, response, next) =>
    request.accepts(['json', 'html']) === 'html' ? response.redirect(303, addresses.home) : next(),
  )
  app.get(addresses.asset, sendAsset)

  app.get(addresses.login, (request, response) =>
    sendPage(response, loginPage(ownPage(queryOf(request).get('next')), null), null, null),
  )
  app.post(addresses.login, async (request, response) => {
    try {
      await logIn(request, response, deps)
    } catch (error) {
      showProblem(deps, request, response, error)
    }
  })

  for (const page of pages) app.get(page.path, serve(deps, page))
  for (const action of actions) app.post(action.path, perform(deps, action))
  app.get('/ui/*path', serve(deps, missingPage))
}

const missingPage: Page = {
  path: '',
  show: async () => {
    throw new Problem('route-not-found', 'There is no such page.')
  },
}

/** Shows a page, or the login to a stranger, who comes back after it. */
function serve(deps: DashboardDeps, page: Page): RequestHandler {
  return async (request, response) => {
    try {
      await deps.authorize(request)
      const context = contextOf(request, deps)
      sendPage(response, await page.show(context), page, context)
    } catch (error) {
      showProblem(deps, request, response, error)
    }
  }
}

/** Does what a form of this session asks for, and shows the next page. */
function perform(deps: DashboardDeps, action: Action): RequestHandler {
  return async (request, response) => {
    try {
      await deps.authorize(request)
      const form = await readForm(request, response)
      assertOwnForm(request, callerOf(request), form.get(formKeyField))
      const context = contextOf(request, deps)
      const done = await action.act(context, form).catch((error: unknown) => {
        const problem = foreseen(error)
        return showRefused(deps, { request, response, form, problem })
      })
      if (done === null) return
      if (typeof done !== 'string' && 'body' in done)
        return sendPage(response, done, action, context)
      if (typeof done !== 'string') response.setHeader('Set-Cookie', setSession(request, null))
      response.redirect(303, typeof done === 'string' ? done : done.next)
    } catch (error) {
      showProblem(deps, request, response, error)
    }
  }
}

type RefusedForm = { request: Request; response: Response; form: URLSearchParams; problem: Problem }

/** Shows the page of a form again, with what was typed and why it was refused. Throws if there is no such page. */
async function showRefused(
  deps: DashboardDeps,
  { request, response, form, problem }: RefusedForm,
): Promise<null> {
  const from = pageOfForm(request, pages)
  if (!from || problem.status === 401 || problem.code === 'internal') throw problem
  const { page, params, url } = from
  const context = {
    ...contextOf(request, deps),
    params,
    query: queryOf({ url }),
    here: url,
    refused: { action: request.originalUrl, form, problem },
  }
  const { title, body, live } = await page.show(context).catch(() => {
    throw problem // it says more than why the page cannot be shown either
  })
  const again = {
    title: `Refused: ${title}`,
    body: html`${refusalPart(problem)}${body}`,
    status: problem.status,
    ...(live && { live }),
  }
  setRetryAfter(response, problem)
  sendPage(response, again, page, context)
  return null
}

function setRetryAfter(response: Response, problem: Problem): void {
  const seconds = retryAfterOf(problem)
  if (seconds !== null) response.setHeader('Retry-After', seconds)
}

/** Shows why a call failed: as the login, if that is what it needs. */
function showProblem(
  { server }: DashboardDeps,
  request: Request,
  response: Response,
  error: unknown,
): void {
  const problem = foreseen(error)
  const requestId = String(response.getHeader('X-Request-Id'))
  if (problem.code === 'internal')
    server.log.error({ requestId, err: problem.cause ?? problem }, 'page failed')
  if (response.headersSent) return void response.destroy()
  if (!request.complete) response.setHeader('Connection', 'close') // its form was not read
  const isNews = problem.code !== 'unauthorized' || request.path === addresses.login
  const shown =
    problem.status === 401 || request.path === addresses.login
      ? loginPage(pageBefore(request), isNews ? problem : null)
      : problemPage(problem, {
          requestId,
          back: request.method === 'POST' ? pageBefore(request) : null,
        })
  setRetryAfter(response, problem)
  sendPage(response, { status: problem.status, ...shown }, null, knownContext(request))
}

function sendPage(
  response: Response,
  shown: ShownPage,
  page: Pick<Page, 'section' | 'assets'> | null,
  context: (Pick<PageContext, 'caller' | 'formKey'> & Partial<PageContext>) | null,
): void {
  const { section = null, assets = [] } = page ?? {}
  const text = layout({ shown, section, assets, context }).toString()
  response
    .status(shown.status ?? 200)
    .type('html')
    .send(text)
}

function contextOf(request: Request, { commands, server }: DashboardDeps): PageContext {
  const { store, appDefaults, currency } = server
  const caller = callerOf(request)
  return {
    commands,
    caller,
    store,
    appDefaults,
    appWarnings: async (app) => (await server.appWarnings?.(app)) ?? [],
    currency,
    params: Object.fromEntries(
      Object.entries(request.params).map(([name, value]) => [name, String(value)]),
    ),
    query: queryOf(request),
    here: request.url,
    gateway: `${cameByTls(request) ? 'https' : 'http'}://${request.headers.host ?? 'localhost'}`,
    formKey: formKeyOf(request, caller),
    session: sessionCookieOf(request),
    isRefresh: request.headers['tarmac-refresh'] !== undefined,
    refused: null,
  }
}

/** What the frame of a page needs, if the caller is known. */
function knownContext(request: Request) {
  const caller = knownCallerOf(request)
  return caller && { caller, formKey: formKeyOf(request, caller) }
}
