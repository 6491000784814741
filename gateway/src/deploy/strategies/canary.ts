import { applyMachine } from '../machines/apply.ts'
import { destroyMachine } from '../machines/destroy.ts'
import { assertNotCrashed } from '../machines/failures.ts'
import { readMachine } from '../machines/health.ts'
import { drain } from '../machines/drain.ts'
import { rolling } from './rolling.ts'
import { mostAtOnce, type Execution } from '../execution.ts'

/**
 * First creates one extra machine per group. If it stays healthy, it is destroyed, and the others
 * follow as in rolling.
 */
export async function canary(run: Execution): Promise<void> {
  const all = run.progress.steps.filter(
    ({ role, outcome }) => role === 'canary' && outcome !== 'removed',
  )
  // The others were tested before a crash.
  const untried = all.filter(({ intent }) => intent === null || intent === 'create')
  await run.forEachLimit(untried, mostAtOnce, (step) => applyMachine(run, step))

  const inService = all.filter(({ intent }) => intent !== 'destroy')
  await run.forEachLimit(inService, mostAtOnce, async (step) => {
    await drain(run, step)
    // The canary ran until it was stopped, so check once more that it did not crash.
    assertNotCrashed(await readMachine(run, step), {})
  })

  await run.forEachLimit(all, mostAtOnce, (step) =>
    run.retryWhileUnavailable(() => destroyMachine(run, step, run.stopping)),
  )
  await rolling(run)
}
