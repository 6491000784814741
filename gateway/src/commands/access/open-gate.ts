import type { DeploymentStore } from '../../deployments/store.ts'
import type { Call, Gate } from './guarded.ts'
import type { Lookups } from './row.ts'

/** The team of an app that belongs to no other. */
export const defaultTeam = 'default'

/** Where changes are recorded. Calls that change nothing are not its business. */
export type Recorder = {
  /** Runs a call, and records that it began and how it ended. */
  record<R>(call: Call, run: () => Promise<R>, find: Lookups): Promise<R>
  /** Records a call that was refused before it ran. */
  refused(call: Call, why: unknown): Promise<void>
}

type GateDeps = {
  store: Pick<DeploymentStore, 'find' | 'rollouts' | 'appSettings'>
  recorder: Recorder
}

/** The gate in front of the commands, over the records. */
export function openGate({ store, recorder }: GateDeps): Gate {
  const find: Lookups = {
    async deployment(id) {
      const found = await store.find(id)
      return found && { app: found.app, owner: found.owner }
    },
    async rollout(id) {
      const found = await store.rollouts.find(id)
      return found?.targets.map(({ app, options: { owner } }) => ({ app, owner })) ?? null
    },
    settings: (app) => store.appSettings(app),
  }
  return {
    find,
    teamOf: () => defaultTeam,
    around: (call, run) => (call.changes ? recorder.record(call, run, find) : run()),
    async refused(call, why) {
      if (call.changes) await recorder.refused(call, why)
    },
  }
}
