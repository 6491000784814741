import { configOf, type Machine } from '#fly/machine.ts'
import type { Execution } from '../execution.ts'
import { isManaged, isTemporary, ownerOf } from '../managed.ts'
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

/** The machines of each owner that take requests. One out of Fly's proxy counts if its owner has no other. */
export function machinesOfOwners(machines: Machine[]): Map<string, string[]> {
  const serving = machines.filter(
    (machine) => isManaged(machine) && !isTemporary(machine) && isServing(machine),
  )
  const routes: Map<string, string[]> = new Map()
  for (const [owner, own] of Map.groupBy(serving, ownerOf)) {
    if (owner === null) continue
    const open = own.filter(({ cordoned }) => !cordoned)
    routes.set(
      owner,
      (open.length > 0 ? open : own).map(({ id }) => id),
    )
  }
  return routes
}

const isServing = (machine: Machine): boolean =>
  (configOf(machine).services ?? []).length > 0 &&
  machine.state !== 'destroying' &&
  machine.state !== 'destroyed'
