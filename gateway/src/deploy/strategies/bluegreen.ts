import { pause } from '#api/flow/retry.ts'
import { maxParallel, type Execution } from '../execution.ts'
import { applyMachine } from '../machines/apply.ts'
import { drain } from '../machines/drain.ts'
import { routeRequests } from '../routing/route.ts'
import { appliedSteps } from '../plan.ts'
import { takeOver } from './replace.ts'

/**
 * Creates green machines beside the blue ones, out of Fly's proxy until all are healthy. Then they
 * take over. The blue ones are cordoned and stopped, but kept for a quick rollback until the watch
 * ends.
 */
export async function bluegreen(execution: Execution): Promise<void> {
  const greens = appliedSteps(execution.progress)
  const blues = execution.progress.steps.filter(({ role }) => role === 'blue')
  for (const launch of [true, false]) {
    const some = greens.filter((step) => step.launch === launch)
    await execution.forEachLimit(some, Math.min(maxParallel, Math.ceil(some.length / 3)), (step) =>
      applyMachine(execution, step),
    )
  }

  await execution.forEachLimit(greens, greens.length, (step) => takeOver(execution, step))
  if (blues.length > 0) await routeRequests(execution, blues)
  if (blues.length > 0) await pause(execution.settings.proxyMs, execution.signal)
  await execution.forEachLimit(blues, blues.length, (step) => drain(execution, step))
}
