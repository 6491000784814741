import { Problem } from '#api/problem.ts'
import { pause } from '../../retry.ts'
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
  const retryUntilStopping = <T>(effect: () => Promise<T>) =>
    retryTransient(run.waitMs, signal, effect)

  await using lease = step.previous && (await run.lease(step, signal))
  const machine = lease ?? run.withoutLease(step)
  await run.recordIntent(step, 'cordon')
  await retryUntilStopping(() => machine.cordon(run.stopping))
  run.emit(step, { status: 'cordoned' })
  if (!step.launch) return

  await pause(proxyMs, signal)
  await run.recordIntent(step, 'stop')
  await retryUntilStopping(() => machine.stop(run.stopping))

  const version = (step.now ?? step.previous)?.instanceId ?? ''
  const stopped = { state: 'stopped', version, withinMs: run.waitMs } as const
  if (!(await retryUntilStopping(() => fly.wait(machine.ref, stopped, signal))))
    throw new Problem(
      'deploy-failed',
      `Machine ${step.machine} did not stop within ${run.waitMs / 1000} s.`,
    )
  run.emit(step, { status: 'stopped' })
}
