import type { DriftCommands } from '../../drift/drift-commands.ts'
import { byApp, deploy, read } from '../row-kinds.ts'
import type { TableOf } from '../row.ts'

/** What each command about drift needs of its caller. */
export const driftRows: TableOf<DriftCommands> = {
  report: { ...read, ...byApp },
  list: {
    ...read,
    shown: ({ apps, checkedAt }, isSeen) => ({
      checkedAt,
      looked: null,
      apps: apps.filter(({ app }) => isSeen({ app })),
    }),
  },
  accept: { ...deploy, ...byApp, recorded: { made: () => null } },
}
