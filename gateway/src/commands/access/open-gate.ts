import { defaultTeam } from '#api/callers/teams.ts'
import type { Admission } from '../../callers/admission.ts'
import { type Principal, sees, type Target } from '../../callers/principal.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import { isPooled } from '../../deployments/previews/pool-store.ts'
import { appOfImage } from '../existing-image.ts'
import type { Call, Gate } from './guarded.ts'
import { NewApps, teamFor } from './new-apps.ts'
import type { Lookups } from './row.ts'

export type GateDeps = {
  store: Pick<
    DeploymentStore,
    | 'find'
    | 'overview'
    | 'rollouts'
    | 'previews'
    | 'ownerApps'
    | 'teams'
    | 'status'
    | 'appSettings'
    | 'rules'
  >
  admission: Pick<Admission, 'inTeams'>
  /** Whether Fly has an app of this name. */
  isOnFly: (app: string) => Promise<boolean>
  /** Whether the source of this digest is kept. */
  hasSource: (digest: string) => Promise<boolean>
  recorder: Recorder
  /** Images of apps are `<registryHost>/<app>`. */
  registryHost: string
}

/** Where changes are recorded. Calls that change nothing are not its business. */
export type Recorder = {
  /** Runs a call, and records that it began and how it ended. */
  record<R>(call: Call, run: () => Promise<R>, find: Lookups): Promise<R>
  /** Records a call that was refused before it ran. */
  refused(call: Call, why: unknown): Promise<void>
}

/** The gate in front of the commands, over the records. */
export function openGate({ store, admission, isOnFly, ...deps }: GateDeps): Gate {
  const { teams } = store

  async function refused(call: Call, why: unknown): Promise<void> {
    const { command, changes, early } = call
    if (changes || early) await deps.recorder.refused({ ...call, command: early ?? command }, why)
  }

  const newApps = new NewApps(teams)
  const find = lookupsIn(store, deps)
  return {
    find,
    teamOf: (app) => teams.teamOf(app),
    partOf: (target) =>
      store.ownerApps.targetOf(target.app) ?? {
        ...target,
        app: store.previews.appOf(target.app) ?? target.app,
      },
    inTeams: (caller) => admission.inTeams(caller),
    async mayCreate(caller, target) {
      if (!isNewFor(caller, target) || (await isOnFly(target.app))) return false
      return teamFor(caller, target.app) !== defaultTeam
    },
    async around(call, run) {
      const admitted = () => newApps.during(call, run)
      if (call.changes) return deps.recorder.record(call, admitted, find)
      try {
        return await admitted()
      } catch (error) {
        await refused(call, error)
        throw error
      }
    },
    refused,
  }

  /** Whether only its team hides this target from the caller, because nobody has it. */
  function isNewFor(caller: Principal, target: Target): boolean {
    const own = { ...caller, teams: null }
    return (
      !!caller.teams?.length &&
      teams.isNew(target.app) &&
      sees(own, target, (app) => teams.teamOf(app))
    )
  }
}

/** Finds what ids name, in the records. */
const lookupsIn = (
  store: GateDeps['store'],
  { registryHost, hasSource }: Pick<GateDeps, 'registryHost' | 'hasSource'>,
): Lookups => ({
  deployment: (id) => store.overview.targetOf(id),
  async preview(id) {
    const found = await store.previews.find(id)
    return found && !isPooled(found) ? { app: found.app, owner: found.owner } : null
  },
  async isSourceGone(id) {
    const source = (await store.find(id))?.source
    return !!source && !(await hasSource(source.digest))
  },
  async rollout(id) {
    const found = await store.rollouts.find(id)
    return found?.targets.map(({ app, options: { owner } }) => ({ app, owner })) ?? null
  },
  async unfinished(isSeen) {
    const all = await store.status.unfinishedByTarget()
    const own = all.filter(({ app, owner }) => isSeen({ app, owner: owner || null }))
    return [...Map.groupBy(own, ({ state }) => state)].map(([state, rows]) => ({
      state,
      count: rows.reduce((sum, { count }) => sum + count, 0),
    }))
  },
  settings: (app) => store.appSettings(app),
  appOfImage: (reference) => appOfImage(reference, registryHost),
  rule: async (name) => (await store.rules.list()).find((rule) => rule.name === name) ?? null,
  teams: store.teams,
})
