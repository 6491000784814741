import type { Execution } from '../execution.ts'
import { runToEnd } from './run-to-end.ts'

/**
 * Runs the app's release command to its end, on a separate machine that destroys itself. It must
 * succeed before any other machine is touched.
 */
export async function releaseCommand(execution: Execution): Promise<void> {
  const step = execution.progress.steps.find(({ role }) => role === 'releaseCommand')
  const command = execution.progress.desired.releaseCommand
  if (!step || !command || step.outcome === 'removed') return
  await runToEnd(execution, step, { name: 'release_command', timeoutMs: command.timeoutMs })
}
