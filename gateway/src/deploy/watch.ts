import { setTimeout as delay } from 'node:timers/promises'
import { wantedOf } from './machines/apply.ts'
import { refuseCrashed, sameImage, there, untilHealthy } from './machines/health.ts'
import { broughtOver } from './plan.ts'
import type { Run } from './execution.ts'

const lookMs = 2000

/** All machines once more, then a look every two seconds: one that has crashed since it was made was never live. */
export async function watch(run: Run): Promise<void> {
  const { fly, watchMs } = run.settings
  const { app } = run.work
  const slots = broughtOver(run.rollout)
  const awake = slots.filter(({ launch }) => launch)
  const healthy = () =>
    run.atOnce(awake, awake.length, async (slot) => {
      await untilHealthy(fly, wantedOf(run, slot), run.waitMs, run.signal)
    })
  const look = async () => {
    // Fly allows one list of an app a second, shared by all its owners' deployments; of each machine five looks.
    const machines = slots.length > 3 ? await run.insist(() => fly.machines(app, run.signal)) : []
    const looks = slots.map(async (slot) => {
      const wanted = wantedOf(run, slot)
      const listed = machines.find(({ id }) => id === slot.machine)
      // The list may be older than the update; the machine itself is not.
      const isFresh = listed?.instance_id === wanted.instanceId
      const machine = isFresh ? listed : await run.insist(() => there(fly, app, wanted.machine, run.signal))
      refuseCrashed(sameImage(wanted, machine), wanted)
    })
    await Promise.all(looks)
  }
  await healthy()
  await look()
  const deadline = performance.now() + watchMs
  for (let leftMs = watchMs; leftMs > 0; leftMs = deadline - performance.now()) {
    await delay(Math.min(lookMs, leftMs), undefined, { signal: run.signal })
    await look()
  }
  await healthy()
}
