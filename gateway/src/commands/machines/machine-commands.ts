import type { MachineAction, MachineView } from '#api/machines/machine-facts.ts'
import { Problem } from '#api/problem.ts'
import type { Machine, MachineRef } from '#fly/machine.ts'
import type { MachineLease } from '#fly/machine-lease.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { Principal } from '../../callers/principal.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import { machineView } from './machine-view.ts'

/** The machines of an app. Nothing of them changes but whether they run. */
export type MachineCommands = {
  /** By process group and name. Throws `app-not-found`. */
  list(caller: Principal, app: string): Promise<MachineView[]>
  /**
   * Returns the machine as it is afterwards. Throws `machine-not-found`, `app-busy` while a
   * deployment changes the app's machines, and `time-limit` if the machine does not follow within a minute.
   */
  change(caller: Principal, app: string, id: string, action: MachineAction): Promise<MachineView>
}

type Deps = { fly: MachinesApi; store: Pick<DeploymentStore, 'unfinished'> }

/** For the calls to Fly of one command. */
const callMs = 150_000
const waitMs = 60_000

export function machineCommands({ fly, store }: Deps): MachineCommands {
  return {
    async list(_caller, app) {
      const signal = AbortSignal.timeout(callMs)
      if (!(await fly.app(app, signal)))
        throw new Problem('app-not-found', `There is no app ${app} on Fly.`)
      const views = (await fly.machines(app, signal)).map(machineView)
      return views.toSorted((a, b) => order(a).localeCompare(order(b), 'en'))
    },

    async change({ name }, app, id, action) {
      const signal = AbortSignal.timeout(callMs)
      const ref = { app, id }
      await found(fly, ref, signal)
      await refuseBusy(store, app)
      await using lease = await fly.lease(
        ref,
        { description: `tarmac: ${action} by ${name}` },
        signal,
      )
      await refuseBusy(store, app) // it may have begun while another program held the lease
      const withLease = { fly, lease, signal: AbortSignal.any([signal, lease.lost]) }
      if (action !== 'start') await stop(withLease)
      if (action !== 'stop') await start(withLease)
      return machineView(await found(fly, ref, signal))
    },
  }
}

type WithLease = { fly: MachinesApi; lease: MachineLease; signal: AbortSignal }

async function stop({ fly, lease, signal }: WithLease): Promise<void> {
  const { state } = await found(fly, lease.ref, signal)
  if (state === 'stopped' || state === 'created') return
  await lease.stop(signal)
  if (await fly.wait(lease.ref, { state: 'stopped', withinMs: waitMs }, signal)) return
  throw late(lease.ref, 'has not stopped', (await found(fly, lease.ref, signal)).state)
}

async function start({ fly, lease, signal }: WithLease): Promise<void> {
  if ((await found(fly, lease.ref, signal)).state === 'started') return
  await lease.start(signal)
  if (await fly.wait(lease.ref, { state: 'started', withinMs: waitMs }, signal)) return
  throw late(lease.ref, 'does not run', (await found(fly, lease.ref, signal)).state)
}

async function found(fly: MachinesApi, ref: MachineRef, signal: AbortSignal): Promise<Machine> {
  const machine = await fly.machine(ref, signal)
  if (machine && machine.state !== 'destroyed') return machine
  const detail = `The app ${ref.app} has no machine ${ref.id.slice(0, 50)}. To list them: tarmac machines ${ref.app}`
  throw new Problem('machine-not-found', detail)
}

/** A deployment that only waits or builds touches no machine yet. */
async function refuseBusy(store: Deps['store'], app: string): Promise<void> {
  const busy = await store.unfinished(app)
  if (busy?.state !== 'deploying' && busy?.state !== 'verifying') return
  const detail = `Deployment ${busy.id} of ${app} changes machines now. Wait for its end, or cancel it.`
  throw new Problem('app-busy', detail, { facts: { deployment: busy.id } })
}

function late({ app, id }: MachineRef, what: string, state: string): Problem {
  const detail = `Machine ${id} of ${app} ${what} after ${waitMs / 1000} s: Fly says ${state}. Look at its log: fly logs --app ${app} --machine ${id}`
  return new Problem('time-limit', detail, { facts: { machine: id, state } })
}

const order = ({ group, name, id }: MachineView) => `${group} ${name} ${id}`
