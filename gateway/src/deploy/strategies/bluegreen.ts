import { pause } from '../../retry.ts'
import { mostAtOnce, type Execution } from '../execution.ts'
import { applyMachine } from '../machines/apply.ts'
import { drain } from '../machines/drain.ts'
import { appliedSteps } from '../plan.ts'
import type { MachineStep } from '../progress.ts'

/**
 * Creates green machines beside the blue ones, out of Fly's proxy until all are healthy. Then they
 * take over. The blue ones are cordoned and stopped, but kept for a quick rollback until the watch
 * ends.
 */
export async function bluegreen(run: Execution): Promise<void> {
  const greens = appliedSteps(run.progress)
  const blues = run.progress.steps.filter(({ role }) => role === 'blue')
  for (const launch of [true, false]) {
    const some = greens.filter((step) => step.launch === launch)
    await run.forEachLimit(some, Math.min(mostAtOnce, Math.ceil(some.length / 3)), (step) =>
      applyMachine(run, step),
    )
  }

  await run.forEachLimit(greens, greens.length, (step) => takeOver(run, step))
  if (blues.length > 0) await pause(run.settings.proxyMs, run.signal)
  await run.forEachLimit(blues, blues.length, (step) => drain(run, step))
}

async function takeOver(run: Execution, step: MachineStep): Promise<void> {
  if (step.role !== 'green') return
  await run.recordIntent(step, 'uncordon')
  await run.retryWhileUnavailable(() => run.withoutLease(step).uncordon(run.stopping))
}
