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
import { failure, startError, startMachine } from './machines/health.ts'
import { retryUntilVisible } from './machines/retry.ts'
import type { MachineStep } from './progress.ts'

const pollMs = 20_000
const logLines = 1000

/**
 * Runs the app's release command to its end, on a separate machine that destroys itself. It must
 * succeed before any other machine is touched. The gateway logs its output if Fly provides it,
 * which Fly's API does not promise. It always logs how the command ended.
 */
export async function releaseCommand(execution: Execution): Promise<void> {
  const step = execution.progress.steps.find(({ role }) => role === 'releaseCommand')
  const command = execution.progress.desired.releaseCommand
  if (!step || !command || step.outcome === 'removed') return

  step.machine ??= (await create(execution, step)).id
  const machine = await untilEnded(execution, step, command.timeoutMs)

  const lines = await execution.settings.fly
    .machineLog(execution.refOf(step), logLines, execution.signal)
    .catch(() => [])
  for (const text of lines)
    execution.job.emit({ type: 'log', step: 'release_command', stream: 'stdout', text })

  const [exit = {}] = exitsOf(machine)
  const events = eventsOf(machine).map(({ type, status }) => `${type} ${status}`)
  const what = `The release_command (${commandOf(machine)})`
  const text = `${what} ${exitWords(exit)}; events of its machine: ${events.toReversed().join(', ')}.`
  execution.job.emit({ type: 'note', text })

  const exitCode = exitCodeOf(exit)
  if (exitCode !== 0 || exit.oom_killed) {
    const detail = `${what} ${exitWords(exit)}, before any machine of the app was touched. See: fly logs --app ${execution.job.app} --machine ${machine.id}`
    throw new Problem('deploy-failed', detail, { facts: { exitCode } })
  }
  await execution.retryWhileUnavailable(() => destroyMachine(execution, step, execution.stopping))
}

/** Starts the machine, unless that happened before a crash, and waits until its program ends. */
async function untilEnded(
  execution: Execution,
  step: MachineStep,
  timeoutMs: number,
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
