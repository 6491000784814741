import { setTimeout as delay } from 'node:timers/promises'
import { Problem } from '#api/problem.ts'
import { bring } from './bring.ts'
import { broughtOver, type Former, type Slot } from './rollout.ts'
import { mostAtOnce, type Run } from './run.ts'

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

async function retire(run: Run, slot: Slot): Promise<void> {
  const { fly, proxyMs } = run.settings
  const { app } = run.work
  const [machine, former] = [slot.machine ?? '', slot.former as Former]
  await using lease = await run.lease(slot)
  await run.intend(slot, 'cordon')
  await run.insist(() => fly.cordon(app, machine, 'cordon', lease.nonce, run.stopping))
  run.tell(slot, { status: 'cordoned', before: former.image })
  if (!slot.launch) return
  // The proxy learns of it, and requests that are under way end.
  await delay(proxyMs, undefined, { signal: run.signal })
  await run.intend(slot, 'stop')
  await run.insist(() => fly.stopMachine(app, machine, lease.nonce, run.stopping))
  const stopped = { state: 'stopped', version: former.instanceId, withinMs: run.waitMs } as const
  if (!(await run.insist(() => fly.wait(app, machine, stopped, run.signal))))
    throw new Problem('deploy-failed', `Machine ${machine} did not stop within ${run.waitMs / 1000} s.`)
  run.tell(slot, { status: 'stopped' })
}
