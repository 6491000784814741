import { Problem } from '#api/problem.ts'
import {
  commandOf,
  eventsOf,
  exitCodeOf,
  exitsOf,
  exitWords,
  type Machine,
} from '../fly/machine.ts'
import type { Execution } from './execution.ts'
import { create } from './machines/apply.ts'
import { destroyMachine } from './machines/destroy.ts'
import { logCommandOf, outputText } from './machines/explain-failure.ts'
import { failure, startError } from './machines/failures.ts'
import { startMachine } from './machines/health.ts'
import { lastOf, outputOf } from './machines/program-output.ts'
import { retryUntilVisible } from './machines/retry.ts'
import type { MachineStep } from './progress.ts'

const pollMs = 20_000
const logLines = 1000

/**
 * Runs the app's release command to its end, on a separate machine that destroys itself. It must
 * succeed before any other machine is touched. The gateway logs its output if Fly provides it,
 * which Fly's API does not promise. It always logs how the command ended.
 */
export async function releaseCommand(run: Execution): Promise<void> {
  const step = run.progress.steps.find(({ role }) => role === 'releaseCommand')
  const command = run.progress.desired.releaseCommand
  if (!step || !command || step.outcome === 'removed') return

  step.machine ??= (await create(run, step)).id
  const machine = await ended(run, step, command.timeoutMs)

  const [exit = {}] = exitsOf(machine)
  const exitCode = exitCodeOf(exit)
  const hasFailed = exitCode !== 0 || exit.oom_killed === true
  const output = outputOf(run, step)
  const printed = hasFailed
    ? await output.readToEnd(machine, { waitMs: run.logWaitMs, count: logLines })
    : await output.read(machine, logLines).catch(() => [])
  if (Array.isArray(printed)) output.show(printed)

  const events = eventsOf(machine).map(({ type, status }) => `${type} ${status}`)
  const what = `The release_command (${commandOf(machine)})`
  const text = `${what} ${exitWords(exit)}; events of its machine: ${events.toReversed().join(', ')}.`
  run.work.emit({ type: 'note', text })

  if (hasFailed) {
    const logCommand = logCommandOf(run, machine.id)
    const more = outputText(printed, run.logWaitMs, logCommand)
    const detail = `${what} ${exitWords(exit)}, before any machine of the app was touched. ${more}`
    const lastLines = Array.isArray(printed) ? lastOf(printed) : []
    const facts = { exitCode, logCommand, ...(lastLines.length > 0 && { lastLines }) }
    throw new Problem('deploy-failed', detail, { facts })
  }
  await run.retryWhileUnavailable(() => destroyMachine(run, step, run.stopping))
}

/** Starts the machine, unless that happened before a crash, and waits until its program ends. */
async function ended(run: Execution, step: MachineStep, timeoutMs: number): Promise<Machine> {
  const { fly } = run.settings
  const ref = run.refOf(step)
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const machine = await run.retryWhileUnavailable(() =>
      retryUntilVisible(() => fly.machine(ref, run.signal), run.signal),
    )

    if (machine && exitsOf(machine).length > 0) return machine
    if (!machine || machine.state === 'destroyed')
      throw new Problem(
        'deploy-failed',
        `Machine ${ref.id} of the release_command is gone, and Fly does not say how it ended.`,
      )
    if (machine.state === 'failed')
      throw failure(
        machine,
        `of the release_command could not be started by Fly${startError(machine)}`,
      )

    const leftMs = deadline - performance.now()
    if (leftMs <= 0)
      throw failure(machine, `of the release_command did not end within ${timeoutMs / 1000} s`)

    if (machine.state === 'stopped' && !eventsOf(machine).some(({ type }) => type === 'start')) {
      await run.recordIntent(step, 'start')
      await run.retryWhileUnavailable(() => startMachine(run.withoutLease(step), run.stopping))
    }

    const state =
      machine.state === 'created' ? ('stopped' as const) : (['destroyed', 'failed'] as const)
    await run.retryWhileUnavailable(() =>
      fly.wait(ref, { state, withinMs: Math.min(pollMs, leftMs) }, run.signal),
    )
  }
}
