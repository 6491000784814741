import { Problem } from '#api/problem.ts'
import { crashesOf, type Machine } from '#fly/machine.ts'
import type { Execution } from '../execution.ts'
import type { MachineStep } from '../progress.ts'
import { explainMachine, hiddenByVolume, isReverted, spawnError } from './failures.ts'
import { lastOf, outputOf } from './program-output.ts'
import { noteSeen } from './seen.ts'
import { listeningNow } from './reachability.ts'

/**
 * Adds to the failure of a machine what its program printed and where it listens. Asks before the
 * machine is rolled back or removed. Emits the output that the log does not have yet.
 */
export async function explainFailure(execution: Execution, reason: Problem): Promise<Problem> {
  const { machine: id } = reason.facts
  const step = execution.progress.steps.find(({ machine }) => machine !== null && machine === id)
  if (reason.code !== 'deploy-failed' || !step || isReverted(reason)) return reason

  const text = reason.message.replace(`Machine ${step.machine} `, '')
  execution.emit(step, { status: 'failed', text })
  const machine = await execution.settings.fly
    .machine(execution.refOf(step), execution.stopping)
    .catch(() => null)
  if (!machine) return reason
  noteSeen(step, machine, (printed) => execution.job.redact(printed))
  return explained(execution, step, machine, reason)
}

async function explained(
  execution: Execution,
  step: MachineStep,
  machine: Machine,
  reason: Problem,
): Promise<Problem> {
  const output = outputOf(execution, step)
  const stillRuns = machine.state === 'started' && crashesOf(machine).length === 0
  const waitMs = stillRuns ? 0 : execution.logWaitMs
  const [printed, listening] = await Promise.all([
    output.readToEnd(machine, { waitMs }),
    stillRuns ? listeningNow(execution, step, machine) : '',
  ])
  const lastLines = Array.isArray(printed) ? lastOf(printed) : []
  if (lastLines.length > 0) output.show(lastLines)

  const logCommand = logCommandOf(execution, machine.id)
  const sentences = [
    reason.message,
    ...[
      spawnError(lastLines),
      hiddenByVolume(machine, lastLines),
      ...explainMachine(machine),
      listening,
    ].flatMap((text) => (text ? [`${text}.`] : [])),
    outputText(printed, waitMs, logCommand),
  ].filter(Boolean)
  const facts = {
    ...reason.facts,
    ...(logCommand && { logCommand }),
    ...(lastLines.length > 0 && { lastLines }),
  }
  return new Problem(reason.code, sentences.join(' '), { cause: reason, facts })
}

/** The command that shows more of a machine's log. Null: the app of a failed preview is deleted. */
export const logCommandOf = ({ job }: Execution, machine: string): string | null =>
  job.preview ? null : `fly logs --app ${job.app} --machine ${machine}`

/** One sentence about a program's output, and the command that shows more, if there is one. */
export function outputText(
  printed: string[] | string,
  waitedMs: number,
  logCommand: string | null,
): string {
  if (typeof printed === 'string')
    return `What it printed is not here: ${printed}.${logCommand ? ` See its log (${logCommand}).` : ''}`
  if (printed.length > 0) return logCommand ? `Its log: ${logCommand}.` : ''
  const late = waitedMs > 0 ? ` within ${waitedMs / 1000} s` : ''
  const again = logCommand ? ` Look again later (${logCommand}).` : ''
  return `Fly's log has shown nothing that it printed${late}.${again}`
}
