import type { NewRegistry, Registry, RegistryRotation } from '#api/registries/registry.ts'
import type { RegistryCommands } from '../../registries/registry-commands.ts'
import { administer } from '../row-kinds.ts'
import type { TableOf } from '../row.ts'

const after = ({ address, username, team }: Registry) => ({ address, username, team })
/** The trail gets names alone, never a password. */
const ofChange = {
  asked: ([registry, { username, test, image }]: [string, Partial<RegistryRotation>]) => ({
    registry,
    username,
    test,
    image,
  }),
  after,
}

/**
 * What each command about logins at registries needs of its caller. Which of them a caller sees
 * depends on its own limits: see `administers`.
 */
export const registryRows: TableOf<RegistryCommands> = {
  list: { ...administer, changes: false, targets: () => [] },
  add: {
    ...administer,
    targets: () => [],
    recorded: {
      asked: ([{ address, username, team, test, image }]: [NewRegistry]) => ({
        address,
        username,
        team,
        test,
        image,
      }),
    },
  },
  test: {
    ...administer,
    targets: () => [],
    recorded: {
      asked: ([registry, { image }]) => ({ registry, image }),
      after: ({ lastTest }) => ({ verdict: lastTest?.verdict }),
    },
  },
  rotate: { ...administer, targets: () => [], recorded: ofChange },
  remove: {
    ...administer,
    targets: () => [],
    recorded: { asked: ([registry]) => ({ registry }), after },
  },
}
