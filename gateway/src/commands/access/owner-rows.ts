import type { OwnerCommands } from '../owners/owner-commands.ts'
import { byTarget, deploy, noApp, read } from './row-kinds.ts'
import type { TableOf } from './row.ts'

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
