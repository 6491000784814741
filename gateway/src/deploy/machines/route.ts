import type { Execution } from '../execution.ts'
import type { MachineStep } from '../progress.ts'

/** Sends an owner's requests to the machines that take them, without those that `leave` now. */
export async function routeRequests(
  execution: Execution,
  leave: readonly MachineStep[] = [],
): Promise<void> {
  const { job, progress } = execution
  if (!job.route) return
  const stay = progress.steps.filter((step) => !leave.includes(step) && takesRequests(step))
  await job.route(idsOf(execution, stay), execution.signal)
}

/**
 * The same in a rollback, after the machines of before serve again. A failure is no reason to stop: the
 * next look at the routes repairs them.
 */
export async function routeBack(execution: Execution): Promise<void> {
  const { job, progress, stopping } = execution
  const signal = AbortSignal.any([stopping, AbortSignal.timeout(backMs)])
  const before = progress.steps.filter(({ previous }) => previous)
  try {
    await job.route?.(idsOf(execution, before), signal)
  } catch {
    stopping.throwIfAborted()
  }
}
const backMs = 120_000

/** Machines without services are not reached by the proxy. */
function idsOf({ progress: { desired } }: Execution, steps: readonly MachineStep[]): string[] {
  const serves = ({ group }: MachineStep) =>
    desired.groups.some(({ name, config }) => name === group && config.services?.length)
  return steps.flatMap((step) => (step.machine !== null && serves(step) ? [step.machine] : []))
}

function takesRequests({ role, intent }: MachineStep): boolean {
  if (role === 'green') return intent === 'uncordon'
  if (role === 'blue') return intent === null
  return role === 'update' || role === 'new'
}
