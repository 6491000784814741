import type { DeploymentStore } from '../../deployments/store.ts'
import type { Gate } from './guarded.ts'

/** The team of an app that belongs to no other. */
export const defaultTeam = 'default'

/** The gate in front of the commands, over the records. */
export function openGate({ store }: { store: Pick<DeploymentStore, 'find' | 'rollouts'> }): Gate {
  return {
    find: {
      async deployment(id) {
        const found = await store.find(id)
        return found && { app: found.app, owner: found.owner }
      },
      async rollout(id) {
        const found = await store.rollouts.find(id)
        return found?.targets.map(({ app, options: { owner } }) => ({ app, owner })) ?? null
      },
    },
    teamOf: () => defaultTeam,
    around: (_call, run) => run(),
  }
}
