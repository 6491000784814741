import { defaultTeam } from '#api/callers/teams.ts'
import { Problem } from '#api/problem.ts'
import type { Admission } from '../../callers/admission.ts'
import { type Principal, sees, type Target } from '../../callers/principal.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { Call, Gate } from './guarded.ts'
import { type Lookups, targetOf } from './row.ts'
import { noApp } from './row-kinds.ts'

export type GateDeps = {
  store: Pick<
    DeploymentStore,
    'find' | 'rollouts' | 'previews' | 'teams' | 'status' | 'appSettings' | 'rules'
  >
  admission: Pick<Admission, 'inTeams'>
  /** Whether Fly has an app of this name. */
  isOnFly: (app: string) => Promise<boolean>
  recorder: Recorder
}

/** Where changes are recorded. Calls that change nothing are not its business. */
export type Recorder = {
  /** Runs a call, and records that it began and how it ended. */
  record<R>(call: Call, run: () => Promise<R>, find: Lookups): Promise<R>
  /** Records a call that was refused before it ran. */
  refused(call: Call, why: unknown): Promise<void>
}

/** The gate in front of the commands, over the records. */
export function openGate({ store, admission, isOnFly, recorder }: GateDeps): Gate {
  const { teams } = store

  /** Gives new apps to the caller's team. Throws `app-not-found` if another caller was faster. */
  async function admit({ caller, newApps }: Call): Promise<void> {
    for (const app of newApps) if (!(await teams.claim(app, teamFor(caller, app)))) throw noApp(app)
  }

  async function refused(call: Call, why: unknown): Promise<void> {
    const { command, changes, early } = call
    if (changes || early) await recorder.refused({ ...call, command: early ?? command }, why)
  }

  const find = lookupsIn(store)
  return {
    find,
    teamOf: (app) => teams.teamOf(app),
    inTeams: (caller) => admission.inTeams(caller),
    async mayCreate(caller, target) {
      if (!isNewFor(caller, target) || (await isOnFly(target.app))) return false
      return teamFor(caller, target.app) !== defaultTeam
    },
    async around(call, run) {
      const admitted = async () => {
        await admit(call)
        return run()
      }
      if (call.changes) return recorder.record(call, admitted, find)
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

/** The team that gets a new app. */
function teamFor({ teams }: Principal, app: string): string {
  const [team = defaultTeam, ...others] = teams ?? []
  if (others.length === 0) return team
  throw new Problem(
    'team-unclear',
    `The caller is in ${teams?.length} teams: ${[team, ...others].join(', ')}. Say which one gets the new app: tarmac team add-app TEAM ${app}. Then deploy it.`,
    { facts: { teams } },
  )
}

/** Finds what ids name, in the records. */
const lookupsIn = (store: GateDeps['store']): Lookups => ({
  async deployment(id) {
    const found = await store.find(id)
    return found && targetOf(found)
  },
  async preview(id) {
    const found = await store.previews.find(id)
    return found && { app: found.app, owner: found.owner }
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
  rule: async (name) => (await store.rules.list()).find((rule) => rule.name === name) ?? null,
  teams: store.teams,
})
