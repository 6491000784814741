import type { Problem } from '#api/problem.ts'
import type { GuardedCommands } from '../../../commands/access/guarded.ts'
import type { Principal } from '../../../callers/principal.ts'
import type { ServerDeps } from '../../deps.ts'
import type { Html } from './html.ts'

/** What a page or an action gets. */
export type PageContext = {
  /** Each checks the right of the caller. `whyNot` says what it would be refused with. */
  commands: GuardedCommands
  caller: Principal
  /** Events of a log, after `logOf` has allowed it; and whether records have changed. */
  store: Pick<ServerDeps['store'], 'eventsAfter'> & {
    overview: Pick<ServerDeps['store']['overview'], 'version'>
  }
  appDefaults: ServerDeps['appDefaults']
  /** What the gateway found out about an app that needs attention. For callers who may see the app. */
  appWarnings: NonNullable<ServerDeps['appWarnings']>
  /** Of the prices that the gateway knows. Null: it knows none. */
  currency: ServerDeps['currency']
  /** The values of the path, decoded: `/ui/apps/:app` gives `app`. */
  params: Record<string, string>
  query: URLSearchParams
  /** The address of this page: path and query. */
  here: string
  /** This gateway's address, as the browser has it: `https://builder.example.ts.net`. */
  gateway: string
  /** The secret of the session's forms. `postForm` puts it in. */
  formKey: string
  /** The cookie of the session. Null: the caller has none, or a proxy names it. */
  session: string | null
  /** The page's own script asks for what changed: it replaces the parts with `data-part` alone. */
  isRefresh: boolean
  /** The form of this page that was just refused. Null: none was. */
  refused: Refused | null
}

/** A form that was refused: its address, what was typed, and why. */
export type Refused = { action: string; form: URLSearchParams; problem: Problem }

/** The entries of the navigation. */
export type Section =
  | 'apps'
  | 'deployments'
  | 'queue'
  | 'previews'
  | 'rollouts'
  | 'routers'
  | 'drift'
  | 'callers'
  | 'audit'
  | 'builder'

export type ShownPage = {
  title: string
  body: Html
  /** It says for how long something runs. */
  isBusy?: boolean
  /** Why the page fails. Default: 200. */
  status?: number
  /**
   * Asks for the page again when something has changed. `events`: the address of a log's events, with
   * the number of the last one shown. `seconds`: for what no stream reports.
   */
  live?: { events: string } | { seconds: number }
}

/** A page. `show` throws Problems: they become a page too. */
export type Page = {
  path: string
  section?: Section
  /** Assets of this page alone, by their names in `assets/`: `log.ts`, `log.css`. */
  assets?: readonly string[]
  show(context: PageContext): Promise<ShownPage>
}

/**
 * What a form does. Returns the address of the page to show next, or a page that is shown this once,
 * such as a new token.
 */
export type Action = Pick<Page, 'path' | 'section' | 'assets'> & {
  act(
    context: PageContext,
    form: URLSearchParams,
  ): Promise<string | { next: string; endsSession: true } | ShownPage>
}
