import type { AppMetrics } from '#api/machines/machine-metrics.ts'
import type { MachineAction, MachineView } from '#api/machines/machine-facts.ts'
import { Problem } from '#api/problem.ts'
import { noneIfGone } from '#fly/apps/none-if-gone.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { Principal } from '../../callers/principal.ts'
import { forEachLimit } from '#api/flow/for-each-limit.ts'
import { isPooled } from '../../deployments/previews/pool-store.ts'
import { touchesMachines } from '../../deployments/states.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import { machineMetrics, type MetricsDeps, type MetricsRequest } from './machine-metrics.ts'
import { found, start, stop } from './machine-power.ts'
import { machineView } from './machine-view.ts'

/** The machines of an app. Nothing of them changes but whether they run. */
export type MachineCommands = {
  /** By process group and name. Throws `app-not-found`. */
  list(caller: Principal, app: string): Promise<MachineView[]>
  /**
   * What the machines used lately, as Fly measured it. Throws `app-not-found`, and `fly-unavailable`
   * if Fly's metrics do not answer soon.
   */
  metrics(caller: Principal, app: string, request: MetricsRequest): Promise<AppMetrics>
  /**
   * Returns the machine as it is afterwards. Throws `machine-not-found`, `app-busy` while a
   * deployment changes the app's machines, and `time-limit` if the machine does not follow within a minute.
   */
  change(caller: Principal, app: string, id: string, action: MachineAction): Promise<MachineView>
}

export type MachineDeps = {
  fly: MachinesApi
  /** The organisation on Fly. */
  org: string
  metrics: MetricsDeps['metrics']
  store: Pick<DeploymentStore, 'unfinished' | 'ownerApps' | 'previews'>
}

/** For the calls to Fly of one command. */
const callMs = 150_000
/** How many owners' apps are asked at once. */
const atOnce = 8

export function machineCommands(deps: MachineDeps): MachineCommands {
  const { fly, store, metrics } = deps
  const list = async (app: string) => {
    const signal = AbortSignal.timeout(callMs)
    // An app whose owners have apps of their own may not be on Fly itself.
    if (store.ownerApps.list(app).length === 0 && !(await fly.app(app, signal)))
      throw new Problem('app-not-found', `There is no app ${app} on Fly.`)
    const views = await viewsOf(app, deps, signal)
    return views.toSorted((a, b) => order(a).localeCompare(order(b), 'en'))
  }
  const used = machineMetrics({ metrics, list })

  return {
    list: (_caller, app) => list(app),
    metrics: (_caller, app, request) => used(app, request),

    async change({ name }, app, id, action) {
      const signal = AbortSignal.timeout(callMs)
      const ref = { app: await flyAppWith(id, app, deps, signal), id }
      await found(fly, ref, signal)
      await refusePooled(store, ref.app)
      await refuseBusy(store, ref.app)
      await using lease = await fly.lease(
        ref,
        { description: `tarmac: ${action} by ${name}` },
        signal,
      )
      await refuseBusy(store, ref.app) // it may have begun while another program held the lease
      const withLease = { fly, lease, signal: AbortSignal.any([signal, lease.lost]) }
      if (action !== 'start') await stop(withLease)
      if (action !== 'stop') await start(withLease)
      return machineView(await found(fly, ref, signal), ref.app)
    },
  }
}

/** The app's own machines, and those in the apps of its owners. */
async function viewsOf(
  app: string,
  { fly, store }: Pick<MachineDeps, 'fly' | 'store'>,
  signal: AbortSignal,
): Promise<MachineView[]> {
  const views: MachineView[] = []
  await forEachLimit(flyAppsOf(app, store), atOnce, async (flyApp) => {
    const machines = await fly.machines(flyApp, signal).catch(noneIfGone)
    views.push(...machines.map((machine) => machineView(machine, flyApp)))
  })
  return views
}

/** The app on Fly that has a machine: `app`, unless one of its owners' apps has it. */
async function flyAppWith(id: string, app: string, deps: MachineDeps, signal: AbortSignal) {
  const { fly, org, store } = deps
  if (await fly.machine({ app, id }, signal)) return app
  const owned = flyAppsOf(app, store).slice(1)
  if (owned.length === 0) return app
  // One call, however many owners there are. It may lack a new machine, and not each token may make it.
  const all = await fly.orgMachines(org, null, signal).catch(() => [])
  const listed = all.find((each) => each.id === id && owned.includes(each.app_name))
  if (listed) return listed.app_name
  // Not one machine by its id: Fly limits those calls by the id, so hundreds of owners take minutes.
  const views = await viewsOf(app, deps, signal)
  return views.find((each) => each.id === id)?.flyApp ?? app
}

const flyAppsOf = (app: string, { ownerApps }: MachineDeps['store']): string[] => [
  app,
  ...ownerApps.list(app).map(({ flyApp }) => flyApp),
]

/** Whoever takes a machine of a pool gets one that nobody has used. */
async function refusePooled({ previews }: MachineDeps['store'], flyApp: string): Promise<void> {
  const preview = await previews.ofFlyApp(flyApp)
  if (!preview || !isPooled(preview)) return
  const detail = `${flyApp} waits in a pool of ${preview.app}, for the next request that takes it. To take it: tarmac preview ${preview.app}`
  throw new Problem('app-busy', detail, { facts: { preview: preview.id } })
}

/** A deployment that only waits or builds touches no machine yet. */
async function refuseBusy(store: MachineDeps['store'], flyApp: string): Promise<void> {
  const { app, owner } = store.ownerApps.targetOf(flyApp) ?? { app: flyApp }
  const busy = await store.unfinished(app, owner)
  if (!busy || !touchesMachines(busy.state)) return
  const detail = `Deployment ${busy.id} of ${app} changes machines now. Wait for its end, or cancel it.`
  throw new Problem('app-busy', detail, { facts: { deployment: busy.id } })
}

const order = ({ group, name, id }: MachineView) => `${group} ${name} ${id}`
