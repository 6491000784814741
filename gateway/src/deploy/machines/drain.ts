import { setTimeout as delay } from 'node:timers/promises'
import { Problem } from '#api/problem.ts'
import { persist } from './health.ts'
import type { Slot } from '../plan.ts'
import type { Run } from '../execution.ts'

/** Takes a machine out of service without losing a request: out of the proxy first, and stopped when that has noticed. */
export async function retire(run: Run, slot: Slot, signal: AbortSignal = run.signal): Promise<void> {
  const { fly, proxyMs } = run.settings
  const { app } = run.work
  const machine = slot.machine ?? ''
  const insist = <T>(effect: () => Promise<T>) => persist(run.waitMs, signal, effect)
  await using lease = slot.former && (await run.lease(slot, signal))
  await run.intend(slot, 'cordon')
  await insist(() => fly.cordon(app, machine, 'cordon', lease?.nonce, run.stopping))
  run.tell(slot, { status: 'cordoned' })
  if (!slot.launch) return
  await delay(proxyMs, undefined, { signal })
  await run.intend(slot, 'stop')
  await insist(() => fly.stopMachine(app, machine, lease?.nonce, run.stopping))
  const version = (slot.now ?? slot.former)?.instanceId ?? ''
  const stopped = { state: 'stopped', version, withinMs: run.waitMs } as const
  if (!(await insist(() => fly.wait(app, machine, stopped, signal))))
    throw new Problem('deploy-failed', `Machine ${machine} did not stop within ${run.waitMs / 1000} s.`)
  run.tell(slot, { status: 'stopped' })
}
