import { applyMachine, destroyMachine } from '../machines/apply.ts'
import { assertNotCrashed, getMachine } from '../machines/health.ts'
import { drain } from '../machines/drain.ts'
import { rolling } from './rolling.ts'
import { mostAtOnce, type Execution } from '../execution.ts'

/** One machine more of each group first. Where it lives it has done its duty and goes, and the others follow as in rolling. */
export async function canary(run: Execution): Promise<void> {
  const all = run.rollout.slots.filter(
    ({ role, outcome }) => role === 'canary' && outcome !== 'removed',
  )
  const untried = all.filter(({ intent }) => intent === null || intent === 'create') // the others were, before a crash
  await run.forEachLimit(untried, mostAtOnce, (slot) => applyMachine(run, slot))
  const inService = all.filter(({ intent }) => intent !== 'destroy')
  await run.forEachLimit(inService, mostAtOnce, async (slot) => {
    await drain(run, slot)
    // It ran on until it was stopped.
    const look = () => getMachine(run.settings.fly, run.work.app, slot.machine ?? '', run.signal)
    assertNotCrashed(await run.retryWhileUnavailable(look), {})
  })
  await run.forEachLimit(all, mostAtOnce, (slot) =>
    run.retryWhileUnavailable(() => destroyMachine(run, slot, run.stopping)),
  )
  await rolling(run)
}
