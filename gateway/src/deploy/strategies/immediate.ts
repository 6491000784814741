import { awaitHealthy, startUpdate } from '../machines/apply.ts'
import { appliedSteps } from '../plan.ts'
import { mostAtOnce, type Execution } from '../execution.ts'

/** Updates every machine without waiting for any. Then waits until each one is healthy. */
export async function immediate(run: Execution): Promise<void> {
  const slots = appliedSteps(run.rollout)
  for (const launch of [true, false]) {
    const some = slots.filter((slot) => slot.launch === launch)
    await run.forEachLimit(some, mostAtOnce, (slot) => startUpdate(run, slot))
  }
  await run.forEachLimit(slots, slots.length, (slot) => awaitHealthy(run, slot))
}
