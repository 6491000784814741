import { setTimeout as delay } from 'node:timers/promises'
import { Problem } from '#api/problem.ts'
import type { Execution } from '../execution.ts'
import type { MachineStep } from '../progress.ts'
import { retryTransient } from './retry.ts'

/**
 * Takes a machine out of service without losing a request. Cordons it, and stops it when Fly's
 * proxy has noticed.
 */
export async function drain(
  run: Execution,
  step: MachineStep,
  signal: AbortSignal = run.signal,
): Promise<void> {
  const { fly, proxyMs } = run.settings
  const { app } = run.work
  const machine = step.machine ?? ''
  const retryUntilStopping = <T>(effect: () => Promise<T>) =>
    retryTransient(run.waitMs, signal, effect)

  await using lease = step.previous && (await run.lease(step, signal))
  await run.recordIntent(step, 'cordon')
  await retryUntilStopping(() => fly.cordon(app, machine, 'cordon', lease?.nonce, run.stopping))
  run.emit(step, { status: 'cordoned' })
  if (!step.launch) return

  await delay(proxyMs, undefined, { signal })
  await run.recordIntent(step, 'stop')
  await retryUntilStopping(() => fly.stopMachine(app, machine, lease?.nonce, run.stopping))

  const version = (step.now ?? step.previous)?.instanceId ?? ''
  const stopped = { state: 'stopped', version, withinMs: run.waitMs } as const
  if (!(await retryUntilStopping(() => fly.wait(app, machine, stopped, signal))))
    throw new Problem(
      'deploy-failed',
      `Machine ${machine} did not stop within ${run.waitMs / 1000} s.`,
    )
  run.emit(step, { status: 'stopped' })
}
