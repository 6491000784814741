import { Problem } from '#api/problem.ts'
import { commandOf } from '#fly/machine-command.ts'
import { eventsOf, exitCodeOf, exitsOf, exitWords, type Machine } from '#fly/machine.ts'
import type { Execution } from '../execution.ts'
import { create } from '../machines/apply.ts'
import { destroyMachine } from '../machines/destroy.ts'
import { logCommandOf, outputText } from '../machines/explain-failure.ts'
import { failure, startError } from '../machines/failures.ts'
import { startMachine } from '../machines/health.ts'
import { lastOf, outputOf } from '../machines/program-output.ts'
import { retryUntilVisible } from '../machines/retry.ts'
import type { MachineStep } from '../progress.ts'

const pollMs = 20_000
const logLines = 1000

/** A program that runs once, and how messages call it. */
type OneOff = { name: string; timeoutMs: number }

/**
 * Runs the program of the step's machine to its end. The machine destroys itself. Throws
 * `deploy-failed` unless the program succeeds. The gateway logs its output if Fly provides it, which
 * Fly's API does not promise. It always logs how the program ended.
 */
export async function runToEnd(
  execution: Execution,
  step: MachineStep,
  oneOff: OneOff,
): Promise<void> {
  step.machine ??= (await create(execution, step)).id
  const machine = await untilEnded(execution, step, oneOff)

  const [exit = {}] = exitsOf(machine)
  const exitCode = exitCodeOf(exit)
  const hasFailed = exitCode !== 0 || exit.oom_killed === true
  const output = outputOf(execution, step)
  const printed = hasFailed
    ? await output.readToEnd(machine, { waitMs: execution.logWaitMs, count: logLines })
    : await output.read(machine, logLines).catch(() => [])
  if (Array.isArray(printed)) output.show(printed)

  const events = eventsOf(machine).map(({ type, status }) => `${type} ${status}`)
  const what = `The ${oneOff.name} (${commandOf(machine)})`
  const text = `${what} ${exitWords(exit)}; events of its machine: ${events.toReversed().join(', ')}.`
  execution.job.emit({ type: 'note', text })

  if (hasFailed) {
    const logCommand = logCommandOf(execution, machine.id)
    const more = outputText(printed, execution.logWaitMs, logCommand)
    const detail =
      `${what} ${exitWords(exit)}, before any machine of the app was touched. ${more}`.trimEnd()
    const lastLines = Array.isArray(printed) ? lastOf(printed) : []
    const facts = {
      exitCode,
      ...(logCommand && { logCommand }),
      ...(lastLines.length > 0 && { lastLines }),
    }
    throw new Problem('deploy-failed', detail, { facts })
  }
  await execution.retryWhileUnavailable(() => destroyMachine(execution, step, execution.stopping))
}

/** Starts the machine, unless that happened before a crash, and waits until its program ends. */
async function untilEnded(
  execution: Execution,
  step: MachineStep,
  { name, timeoutMs }: OneOff,
): Promise<Machine> {
  const { fly } = execution.settings
  const ref = execution.refOf(step)
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const machine = await execution.retryWhileUnavailable(() =>
      retryUntilVisible(() => fly.machine(ref, execution.signal), execution.signal),
    )

    if (machine && exitsOf(machine).length > 0) return machine
    if (!machine || machine.state === 'destroyed')
      throw new Problem(
        'deploy-failed',
        `Machine ${ref.id} of the ${name} is gone, and Fly does not say how it ended.`,
      )
    if (machine.state === 'failed')
      throw failure(machine, `of the ${name} could not be started by Fly${startError(machine)}`)

    const leftMs = deadline - performance.now()
    if (leftMs <= 0)
      throw failure(machine, `of the ${name} did not end within ${timeoutMs / 1000} s`)

    if (machine.state === 'stopped' && !eventsOf(machine).some(({ type }) => type === 'start')) {
      await execution.recordIntent(step, 'start')
      await execution.retryWhileUnavailable(() =>
        startMachine(execution.withoutLease(step), execution.stopping),
      )
    }

    const state =
      machine.state === 'created' ? ('stopped' as const) : (['destroyed', 'failed'] as const)
    await execution.retryWhileUnavailable(() =>
      fly.wait(ref, { state, withinMs: Math.min(pollMs, leftMs) }, execution.signal),
    )
  }
}
