import { awaitHealthy, startUpdate } from '../machines/apply.ts'
import { appliedSteps } from '../plan.ts'
import { mostAtOnce, type Execution } from '../execution.ts'

/** Updates every machine without waiting for any. Then waits until each one is healthy. */
export async function immediate(run: Execution): Promise<void> {
  const steps = appliedSteps(run.progress)
  for (const launch of [true, false]) {
    const some = steps.filter((step) => step.launch === launch)
    await run.forEachLimit(some, mostAtOnce, (step) => startUpdate(run, step))
  }
  await run.forEachLimit(steps, steps.length, (step) => awaitHealthy(run, step))
}
