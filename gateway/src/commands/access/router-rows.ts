import type { RouterCommands } from '../router/router-commands.ts'
import { administer, deploy, noApp } from './row-kinds.ts'
import type { TableOf } from './row.ts'

type Target = { app: string; router: string }

/** The router is an app of its own: the caller needs the right to both. */
const byBoth = {
  targets: ([{ app, router }]: [Target, ...unknown[]]) =>
    [...new Set([app, router])].map((each) => ({ app: each, owner: null })),
  missing: ([{ app }]: [Target, ...unknown[]]) => noApp(app),
}

/** What each command about routers needs of its caller. */
export const routerRows: TableOf<RouterCommands> = {
  deploy: {
    ...deploy,
    ...byBoth,
    creates: true,
    recorded: {
      asked: ([_target, domain]) => ({ domain }),
      made: ({ deployment }) => deployment,
    },
  },
  remove: { ...administer, ...byBoth, recorded: { made: () => null } },
}
