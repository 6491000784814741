import { setTimeout as delay } from 'node:timers/promises'
import { crashesOf, type Machine } from '../fly/machine.ts'
import { wantedOf } from './bring.ts'
import { crashed, sameImage, there, untilHealthy } from './gate.ts'
import { broughtOver, type Slot } from './rollout.ts'
import type { Run } from './run.ts'

const lookMs = 2000

/** All machines once more, then a look every two seconds: one that crashes meanwhile was never live. */
export async function watch(run: Run): Promise<void> {
  const { fly, watchMs } = run.settings
  const { app } = run.work
  const slots = broughtOver(run.rollout)
  const awake = slots.filter(({ launch }) => launch)
  const healthy = () =>
    run.atOnce(awake, awake.length, async (slot) => {
      await untilHealthy(fly, wantedOf(run, slot), run.waitMs, run.signal)
    })
  const look = async (): Promise<[Slot, Machine][]> => {
    // Fly allows one list of an app a second, shared by all its owners' deployments; of each machine five looks.
    const machines = slots.length > 3 ? await run.insist(() => fly.machines(app, run.signal)) : []
    const pairs = slots.map(async (slot): Promise<[Slot, Machine]> => {
      const wanted = wantedOf(run, slot)
      const listed = machines.find(({ id }) => id === slot.machine)
      // The list may be older than the update; the machine itself is not.
      const isFresh = listed?.instance_id === wanted.instanceId
      const machine = isFresh ? listed : await run.insist(() => there(fly, app, wanted.machine, run.signal))
      return [slot, sameImage(wanted, machine)]
    })
    return await Promise.all(pairs)
  }
  await healthy()
  const before = new Map((await look()).map(([{ name }, machine]) => [name, crashesOf(machine).length]))
  const deadline = performance.now() + watchMs
  for (let leftMs = watchMs; leftMs > 0; leftMs = deadline - performance.now()) {
    await delay(Math.min(lookMs, leftMs), undefined, { signal: run.signal })
    for (const [{ name }, machine] of await look()) {
      const crashes = crashesOf(machine).length
      if (crashes > (before.get(name) ?? 0)) throw crashed(machine, crashes)
    }
  }
  await healthy()
}
