import type { Machine } from '#fly/machine.ts'
import type { Execution } from '../execution.ts'
import { numberOf } from '../managed.ts'
import type { MachineStep } from '../progress.ts'
import { failure } from './failures.ts'
import { retryUntilVisible } from './retry.ts'

const destroyTimeoutMs = 60_000

/** Destroys a machine, and waits until it is gone. */
export async function destroyMachine(
  execution: Execution,
  step: MachineStep,
  signal: AbortSignal,
): Promise<void> {
  const found = await retryUntilVisible(() => find(execution, step, signal), signal)
  if (found && numberOf(found) > execution.job.number) {
    step.outcome = 'rolled_back'
    await execution.save()
    return execution.emit(step, {
      status: 'rolled_back',
      text: 'a newer deployment has taken it over',
    })
  }

  if (found && found.state !== 'destroyed') {
    step.machine = found.id
    await destroy(execution, step, found, signal)
  }
  step.now = null
  step.outcome = 'removed'
  await execution.save()
  execution.emit(step, { status: 'removed' })
}

async function destroy(
  execution: Execution,
  step: MachineStep,
  found: Machine,
  signal: AbortSignal,
): Promise<void> {
  await using lease = step.previous && (await execution.lease(step, signal))
  const machine = lease ?? execution.withoutLease(step)
  await execution.recordIntent(step, 'destroy')
  const deadline = performance.now() + destroyTimeoutMs
  const destroyed = { state: 'destroyed', withinMs: destroyTimeoutMs } as const

  let left: Machine | null = found
  while (left && left.state !== 'destroyed') {
    if (left.state !== 'destroying') await machine.destroy(signal)
    await execution.settings.fly.wait(machine.ref, destroyed, signal)
    if (performance.now() > deadline)
      throw failure(left, `was not gone ${destroyTimeoutMs / 1000} s after it was destroyed`)
    left = await find(execution, step, signal)
  }
}

/** The step's machine, or null. It counts as missing only if the app's list lacks it too. */
async function find(
  execution: Execution,
  step: MachineStep,
  signal: AbortSignal,
): Promise<Machine | null> {
  const found = step.machine
    ? await execution.settings.fly.machine(execution.refOf(step), signal)
    : null
  return found ?? (await findListed(execution, step, signal)) ?? null
}

/** The step's machine in the app's list. A new one is found by its name. */
export async function findListed(
  { settings, job }: Execution,
  step: MachineStep,
  signal: AbortSignal,
): Promise<Machine | undefined> {
  const machines = await settings.fly.machines(job.app, signal)
  return machines.find(({ id, name }) => (step.machine ? id === step.machine : name === step.name))
}
