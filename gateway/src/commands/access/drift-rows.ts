import type { DriftCommands } from '../drift/drift-commands.ts'
import { byApp, deploy, read } from './row-kinds.ts'
import type { TableOf } from './row.ts'

/** What each command about drift needs of its caller. */
export const driftRows: TableOf<DriftCommands> = {
  report: { ...read, ...byApp },
  list: {
    ...read,
    shown: ({ apps, ...list }, isSeen) => {
      const seen = apps.filter(({ app }) => isSeen({ app }))
      return { ...list, apps: seen }
    },
  },
  accept: { ...deploy, ...byApp, recorded: { made: () => null } },
}
