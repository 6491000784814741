import type { MachineCommands } from '../../machines/machine-commands.ts'
import type { OwnerCommands } from '../../owners/owner-commands.ts'
import type { RouterCommands } from '../../router/router-commands.ts'
import { administer, byApp, byTarget, deploy, noApp, read } from '../row-kinds.ts'
import type { TableOf } from '../row.ts'

const ofApp = {
  targets: ([app]: [string, ...unknown[]]) => [{ app }],
  missing: ([app]: [string, ...unknown[]]) => noApp(app),
}

/** What each command about the machines of an app needs of its caller. */
export const machineRows: TableOf<MachineCommands> = {
  list: {
    ...read,
    ...ofApp,
    shown: (machines, isSeen, { args: [app] }) =>
      machines.filter(({ owner }) => isSeen({ app, owner })),
  },
  metrics: {
    ...read,
    ...ofApp,
    shown: ({ machines, ...more }, isSeen, { args: [app] }) => ({
      ...more,
      machines: machines.filter(({ owner }) => isSeen({ app, owner })),
    }),
  },
  change: {
    ...deploy,
    ...byApp,
    recorded: { asked: ([_app, machine, action]) => ({ machine, action }), made: () => null },
  },
}

/** What each command about the owners of an app needs of its caller. */
export const ownerRows: TableOf<OwnerCommands> = {
  // The command lists what the caller sees.
  list: { ...read, ...ofApp },
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
  list: {
    ...read,
    shown: ({ routers }, isSeen) => ({
      routers: routers.filter(({ app, router }) => isSeen({ app }) && isSeen({ app: router })),
    }),
  },
  show: { ...read, ...byBoth },
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
