import { awaitHealthy, startUpdate } from '../machines/apply.ts'
import { appliedSteps } from '../plan.ts'
import { afterReplacing, beforeReplacing } from './replace.ts'
import { maxParallel, type Execution } from '../execution.ts'

/** Updates every machine without waiting for any. Then waits until each one is healthy. */
export async function immediate(execution: Execution): Promise<void> {
  const steps = appliedSteps(execution.progress)
  for (const launch of [true, false]) {
    const some = steps.filter((step) => step.launch === launch)
    await execution.forEachLimit(some, maxParallel, async (step) => {
      await beforeReplacing(execution, step)
      await startUpdate(execution, step)
    })
  }

  await execution.forEachLimit(steps, steps.length, async (step) => {
    await awaitHealthy(execution, step)
    await afterReplacing(execution, step)
  })
}
