import { applyMachine } from '../machines/apply.ts'
import { destroyMachine } from '../machines/destroy.ts'
import { assertNotCrashed, readMachine } from '../machines/health.ts'
import { drain } from '../machines/drain.ts'
import { rolling } from './rolling.ts'
import { maxParallel, type Execution } from '../execution.ts'

/**
 * First creates one extra machine per group. If it stays healthy, it is destroyed, and the others
 * follow as in rolling.
 */
export async function canary(execution: Execution): Promise<void> {
  const all = execution.progress.steps.filter(
    ({ role, outcome }) => role === 'canary' && outcome !== 'removed',
  )
  // The others were tested before a crash.
  const untried = all.filter(({ intent }) => intent === null || intent === 'create')
  await execution.forEachLimit(untried, maxParallel, (step) => applyMachine(execution, step))

  const inService = all.filter(({ intent }) => intent !== 'destroy')
  await execution.forEachLimit(inService, maxParallel, async (step) => {
    await drain(execution, step)
    // The canary ran until it was stopped, so check once more that it did not crash.
    assertNotCrashed(await readMachine(execution, step), {})
  })

  await execution.forEachLimit(all, maxParallel, (step) =>
    execution.retryWhileUnavailable(() => destroyMachine(execution, step, execution.stopping)),
  )
  await rolling(execution)
}
