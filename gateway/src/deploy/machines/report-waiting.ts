import type { Machine } from '#fly/machine.ts'
import type { Execution } from '../execution.ts'
import type { MachineStep } from '../progress.ts'
import { checkStatuses } from './checks.ts'
import type { Waiting } from './health.ts'
import { outputOf } from './program-output.ts'
import { listeningNow } from './reachability.ts'

/**
 * Reports what a machine waits for: when its check results change, and every ten seconds. It says
 * how much time is left, what listens on a wrong address, and what the program has printed.
 */
export function waitingReporter(execution: Execution, step: MachineStep) {
  let reported = ''
  let reportedAt = performance.now()
  const { reportMs = 10_000 } = execution.settings
  return async (machine: Machine, { pending, leftMs }: Waiting): Promise<void> => {
    const statuses = checkStatuses(machine)
    if (statuses === reported && performance.now() - reportedAt < reportMs) return
    reported = statuses
    reportedAt = performance.now()

    const output = outputOf(execution, step)
    const [listening, printed] = await Promise.all([
      listeningNow(execution, step, machine),
      output.read(machine).catch(() => null),
    ])
    if (printed) output.show(printed)
    const left = `${Math.ceil(Math.max(0, leftMs) / 1000)} s left`
    const text = [...pending, listening, left].filter(Boolean).join('; ')
    execution.emit(step, { status: 'checking', text })
  }
}
