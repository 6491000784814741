import { type Preview, settledStates } from '#api/previews/preview.ts'
import type { OrgMachine } from '#fly/answers.ts'
import { statusOf } from '#fly/fly-calls.ts'
import { startsByRequest } from '#fly/exposure/autostart.ts'
import { configOf, type Machine } from '#fly/machine.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import { markMachine } from '../commands/previews/preview-marks.ts'
import {
  hasMark,
  previewEndMark,
  previewIdIn,
  previewMark,
  previewOwnerMark,
} from '../deployments/previews/preview-names.ts'
import { isPooled, type PoolStore } from '../deployments/previews/pool-store.ts'
import type { PreviewStore } from '../deployments/previews/preview-store.ts'
import type { TeamStore } from '../deployments/teams/team-store.ts'
import type { Logger } from '../log.ts'

type FlyCalls =
  | 'orgApps'
  | 'orgMachines'
  | 'app'
  | 'machine'
  | 'machines'
  | 'deleteApp'
  | 'withoutLease'
export type SweepDeps = {
  previews: PreviewStore
  pools: Pick<PoolStore, 'drop'>
  teams: Pick<TeamStore, 'isNew'>
  fly: Pick<MachinesApi, FlyCalls>
  org: string
  /** See `markOf`. */
  mark: string
  log: Pick<Logger, 'warn' | 'error'>
}

/** What a sweep found: `orphans` on Fly that no record knows, and previews that are `gone` from it. */
export type Swept = { orphans: string[]; gone: string[]; failures: string[] }

/** A gateway that is gone cannot end its previews. Others wait so long after their end, and do it. */
const abandonedMs = 3_600_000

/**
 * Compares the previews with what Fly has, both ways. Apps of this gateway's previews that no living
 * preview has are deleted, and so are those of another gateway long after the end that their machine
 * names. A preview that is gone from Fly ends; one that was stopped or started follows. What fails is
 * logged, and the next sweep tries it again.
 */
export async function sweepPreviews(deps: SweepDeps, signal: AbortSignal): Promise<Swept> {
  const { previews, fly, org, log } = deps
  const living = await previews.living() // before the look at Fly, which may be older than a new one
  const machines = await fly.orgMachines(org, null, signal)
  const apps = new Set(machines.map(({ app_name: app }) => app))
  for (const app of await appsOf(org, fly, signal)) apps.add(app)

  const swept: Swept = { orphans: [], gone: [], failures: [] }
  const attempt = async (what: string, action: () => Promise<void>) => {
    await action().catch((err: unknown) => {
      if (signal.aborted) throw err
      log.error({ err }, `${what} failed in a sweep of previews`)
      swept.failures.push(what)
    })
  }
  for (const app of apps)
    await attempt(`the removal of ${app}`, async () => {
      if (!(await isOrphan(app, machines, deps, signal))) return
      log.warn({ app }, 'app of a preview that nobody knows: deleted')
      await fly.deleteApp(app, signal)
      swept.orphans.push(app)
    })
  for (const preview of living)
    await attempt(`the look at ${preview.id}`, async () => {
      if (await follow(preview, machines, deps, signal)) swept.gone.push(preview.id)
    })
  return swept
}

/** The names of all apps, also of those without machines. None: the token may not list them. */
async function appsOf(org: string, fly: SweepDeps['fly'], signal: AbortSignal): Promise<string[]> {
  return fly.orgApps(org, signal).catch((error: unknown) => {
    if (statusOf(error) !== 403) throw error
    return []
  })
}

/**
 * Whether an app on Fly was a preview's, and no living preview has it. A caller may give any app such a
 * name: one that the gateway knows as an app, or that has another machine, is none.
 */
async function isOrphan(
  app: string,
  machines: readonly OrgMachine[],
  { previews, teams, fly, mark }: SweepDeps,
  signal: AbortSignal,
): Promise<boolean> {
  const id = previewIdIn(app)
  if (id === null) return false
  const known = await previews.ofFlyApp(app)
  if (known) return known.endedAt !== null
  if (!teams.isNew(app)) return false
  if (hasMark(id, mark)) {
    const own = await fly.machines(app, signal) // the list may lack a region
    return own.every((machine) => configOf(machine).metadata?.[previewMark] === id)
  }
  return machines.some(({ app_name: of, config }) => {
    const { [previewMark]: named, [previewEndMark]: end = '' } = config?.metadata ?? {}
    return of === app && named === id && Date.parse(end) + abandonedMs < Date.now()
  })
}

/** Follows what happened to a preview on Fly. Returns whether it is gone. */
async function follow(
  preview: Preview,
  machines: readonly OrgMachine[],
  { previews, pools, fly }: SweepDeps,
  signal: AbortSignal,
): Promise<boolean> {
  const { id, flyApp, state, expiresAt } = preview
  if (!settledStates.some((each) => each === state)) return false
  const machine = machines.find(({ app_name: app }) => app === flyApp)
  if (!machine) {
    if (!(await isGone(flyApp, fly, signal))) return false
    return (await previews.move(id, settledStates, 'destroying', { ending: goneFromFly })) !== null
  }
  const ref = { app: flyApp, id: machine.id }
  if (state !== (machine.state === 'started' ? 'ready' : machine.state)) {
    const now = stateOf(await fly.machine(ref, signal))
    // It ran after it had rested: what it did meanwhile, its next owner would find.
    if (now === 'ready' && isPooled(preview)) return pools.drop(id)
    if (now !== null && now !== state) await previews.move(id, [state], now)
  }
  const { [previewEndMark]: end, [previewOwnerMark]: owner } = machine.config?.metadata ?? {}
  // Somebody had it: the records are older than the machine, after a restore.
  if (owner && isPooled(preview)) return pools.drop(id)
  if (end !== undefined && end !== expiresAt) await markMachine(ref, preview, { fly }, signal)
  return false
}

/**
 * What a machine makes of its preview. One that Fly's proxy has stopped because it was idle starts with
 * the next request, so it is ready: unless it is cordoned. Null: it is between two states.
 */
function stateOf(machine: Machine | null): (typeof settledStates)[number] | null {
  if (!machine) return null
  const { state, cordoned = false } = machine
  const wakes = !cordoned && startsByRequest(configOf(machine))
  if (state === 'stopped' || state === 'suspended') return wakes ? 'ready' : state
  return state === 'started' && !cordoned ? 'ready' : null
}

/** Fly's list may lack a region that does not answer: only the app itself proves it. */
const isGone = async (flyApp: string, fly: SweepDeps['fly'], signal: AbortSignal) =>
  (await fly.app(flyApp, signal)) === null || (await fly.machines(flyApp, signal)).length === 0

const goneFromFly = { why: 'gone', by: null } as const
