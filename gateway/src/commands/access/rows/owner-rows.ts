import type { OwnerCommands } from '../../owners/owner-commands.ts'
import type { RouterCommands } from '../../router/router-commands.ts'
import { administer, byTarget, deploy, noApp, read } from '../row-kinds.ts'
import type { TableOf } from '../row.ts'

/** What each command about the owners of an app needs of its caller. */
export const ownerRows: TableOf<OwnerCommands> = {
  // The command lists what the caller sees.
  list: { ...read, targets: ([app]) => [{ app }], missing: ([app]) => noApp(app) },
  show: { ...read, ...byTarget },
  change: {
    ...deploy,
    ...byTarget,
    recorded: { asked: ([_target, action]) => ({ action }), made: () => null },
  },
  destroy: {
    ...deploy,
    ...byTarget,
    recorded: {
      asked: ([_target, volumes]) => ({ volumes }),
      after: ({ machines, volumes: { deleted } }) => ({ machines, deletedVolumes: deleted }),
      made: () => null,
    },
  },
}

type RouterTarget = { app: string; router: string }

/** The router is an app of its own: the caller needs the right to both. */
const byBoth = {
  targets: ([{ app, router }]: [RouterTarget, ...unknown[]]) =>
    [...new Set([app, router])].map((each) => ({ app: each, owner: null })),
  missing: ([{ app }]: [RouterTarget, ...unknown[]]) => noApp(app),
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
