import { setTimeout as delay } from 'node:timers/promises'
import { bring } from '../machines/apply.ts'
import { retire } from '../machines/drain.ts'
import { broughtOver, type Slot } from '../plan.ts'
import { mostAtOnce, type Run } from '../execution.ts'

/**
 * Green machines are made beside the blue ones, out of the proxy until all are healthy; then they take over. The blue ones
 * are cordoned and stopped, and kept until the watch is over, so that the way back is short.
 */
export async function bluegreen(run: Run): Promise<void> {
  const greens = broughtOver(run.rollout)
  const blues = run.rollout.slots.filter(({ role }) => role === 'blue')
  for (const launch of [true, false]) {
    const some = greens.filter((slot) => slot.launch === launch)
    await run.atOnce(some, Math.min(mostAtOnce, Math.ceil(some.length / 3)), (slot) => bring(run, slot))
  }
  await run.atOnce(greens, greens.length, (slot) => takeOver(run, slot))
  if (blues.length > 0) await delay(run.settings.proxyMs, undefined, { signal: run.signal })
  await run.atOnce(blues, blues.length, (slot) => retire(run, slot))
}

async function takeOver(run: Run, slot: Slot): Promise<void> {
  if (slot.role !== 'green') return
  await run.intend(slot, 'uncordon')
  await run.insist(() => run.settings.fly.cordon(run.work.app, slot.machine ?? '', 'uncordon', undefined, run.stopping))
}
