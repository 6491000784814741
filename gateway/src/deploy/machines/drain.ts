import { Problem } from '#api/problem.ts'
import { pause } from '#api/flow/retry.ts'
import type { Execution } from '../execution.ts'
import type { MachineStep } from '../progress.ts'
import { retryTransient } from './retry.ts'

/**
 * Takes a machine out of service without losing a request. Cordons it, and stops it when Fly's
 * proxy has noticed.
 */
export async function drain(
  execution: Execution,
  step: MachineStep,
  signal: AbortSignal = execution.signal,
): Promise<void> {
  const { fly, proxyMs } = execution.settings
  const retryUntilStopping = <T>(effect: () => Promise<T>) =>
    retryTransient(execution.waitMs, signal, effect)

  await using lease = step.previous && (await execution.lease(step, signal))
  const machine = lease ?? execution.withoutLease(step)
  await execution.recordIntent(step, 'cordon')
  await retryUntilStopping(() => machine.cordon(execution.stopping))
  execution.emit(step, { status: 'cordoned' })
  if (!step.launch) return

  await pause(proxyMs, signal)
  await execution.recordIntent(step, 'stop')
  await retryUntilStopping(() => machine.stop(execution.stopping))

  const version = (step.now ?? step.previous)?.instanceId ?? ''
  const stopped = { state: 'stopped', version, withinMs: execution.waitMs } as const
  if (!(await retryUntilStopping(() => fly.wait(machine.ref, stopped, signal))))
    throw new Problem(
      'deploy-failed',
      `Machine ${step.machine} did not stop within ${execution.waitMs / 1000} s.`,
    )
  execution.emit(step, { status: 'stopped' })
}
