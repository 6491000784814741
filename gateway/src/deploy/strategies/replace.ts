import { pause } from '#api/flow/retry.ts'
import type { Execution } from '../execution.ts'
import { applyMachine } from '../machines/apply.ts'
import { drain } from '../machines/drain.ts'
import { routeRequests } from '../routing/route.ts'
import type { MachineStep } from '../progress.ts'

/** Creates, updates or replaces one machine. Ends when the release runs there and passes its checks. */
export async function applyStep(execution: Execution, step: MachineStep): Promise<void> {
  await beforeReplacing(execution, step)
  await applyMachine(execution, step)
  await afterReplacing(execution, step)
}

/**
 * Before a new machine takes the place of an old one: stops the old one if nothing outside reaches
 * it. Two such machines would do the same work twice. The old machine is kept for a rollback until
 * the watch ends.
 */
export async function beforeReplacing(execution: Execution, step: MachineStep): Promise<void> {
  const old = replacedBy(execution, step)
  if (old && !serves(execution, step)) await drain(execution, old)
}

/** Once the new machine is healthy: sends it the traffic, and takes the old one out. */
export async function afterReplacing(execution: Execution, step: MachineStep): Promise<void> {
  const old = replacedBy(execution, step)
  if (!old) return
  // Somebody took the old machine out of traffic. The new one stays out too.
  if (!old.previous?.cordoned) await takeOver(execution, step)
  if (!serves(execution, step)) return

  await routeRequests(execution, [old])
  await pause(execution.settings.proxyMs, execution.signal)
  await drain(execution, old)
}

/** Lets Fly's proxy send traffic to a new machine. */
export async function takeOver(execution: Execution, step: MachineStep): Promise<void> {
  if (step.role !== 'green') return
  await execution.recordIntent(step, 'uncordon')
  await execution.retryWhileUnavailable(() =>
    execution.withoutLease(step).uncordon(execution.stopping),
  )
}

const replacedBy = ({ progress }: Execution, { replaces }: MachineStep): MachineStep | undefined =>
  progress.steps.find(({ role, machine }) => role === 'blue' && machine === replaces)

const serves = ({ progress: { desired } }: Execution, { group }: MachineStep): boolean =>
  desired.groups.some(({ name, config }) => name === group && config.services?.length)
