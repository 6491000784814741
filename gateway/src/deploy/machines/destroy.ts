import type { Machine } from '../../fly/machine.ts'
import type { Execution } from '../execution.ts'
import { numberOf } from '../managed.ts'
import type { MachineStep } from '../progress.ts'
import { failure } from './failures.ts'
import { retryUntilVisible } from './retry.ts'

const destroyTimeoutMs = 60_000

/** Destroys a machine, and waits until it is gone. */
export async function destroyMachine(
  run: Execution,
  step: MachineStep,
  signal: AbortSignal,
): Promise<void> {
  const found = await retryUntilVisible(() => find(run, step, signal), signal)
  if (found && numberOf(found) > run.work.number) {
    step.outcome = 'rolled_back'
    await run.save()
    return run.emit(step, { status: 'rolled_back', text: 'a newer deployment has taken it over' })
  }

  if (found && found.state !== 'destroyed') {
    step.machine = found.id
    await destroy(run, step, found, signal)
  }
  step.now = null
  step.outcome = 'removed'
  await run.save()
  run.emit(step, { status: 'removed' })
}

async function destroy(
  run: Execution,
  step: MachineStep,
  found: Machine,
  signal: AbortSignal,
): Promise<void> {
  await using lease = step.previous && (await run.lease(step, signal))
  const machine = lease ?? run.withoutLease(step)
  await run.recordIntent(step, 'destroy')
  const deadline = performance.now() + destroyTimeoutMs
  const destroyed = { state: 'destroyed', withinMs: destroyTimeoutMs } as const

  let left: Machine | null = found
  while (left && left.state !== 'destroyed') {
    if (left.state !== 'destroying') await machine.destroy(signal)
    await run.settings.fly.wait(machine.ref, destroyed, signal)
    if (performance.now() > deadline)
      throw failure(left, `was not gone ${destroyTimeoutMs / 1000} s after it was destroyed`)
    left = await find(run, step, signal)
  }
}

/** The step's machine, or null. It counts as missing only if the app's list lacks it too. */
async function find(
  run: Execution,
  step: MachineStep,
  signal: AbortSignal,
): Promise<Machine | null> {
  const found = step.machine ? await run.settings.fly.machine(run.refOf(step), signal) : null
  return found ?? (await findListed(run, step, signal)) ?? null
}

/** The step's machine in the app's list. A new one is found by its name. */
export async function findListed(
  { settings, work }: Execution,
  step: MachineStep,
  signal: AbortSignal,
): Promise<Machine | undefined> {
  const machines = await settings.fly.machines(work.app, signal)
  return machines.find(({ id, name }) => (step.machine ? id === step.machine : name === step.name))
}
