import { bring, remove } from '../machines/apply.ts'
import { refuseCrashed, there } from '../machines/health.ts'
import { retire } from '../machines/drain.ts'
import { rolling } from './rolling.ts'
import { mostAtOnce, type Run } from '../execution.ts'

/** One machine more of each group first. Where it lives it has done its duty and goes, and the others follow as in rolling. */
export async function canary(run: Run): Promise<void> {
  const all = run.rollout.slots.filter(({ role, outcome }) => role === 'canary' && outcome !== 'removed')
  const untried = all.filter(({ intent }) => intent === null || intent === 'create') // the others were, before a crash
  await run.atOnce(untried, mostAtOnce, (slot) => bring(run, slot))
  const inService = all.filter(({ intent }) => intent !== 'destroy')
  await run.atOnce(inService, mostAtOnce, async (slot) => {
    await retire(run, slot)
    // It ran on until it was stopped.
    const look = () => there(run.settings.fly, run.work.app, slot.machine ?? '', run.signal)
    refuseCrashed(await run.insist(look), {})
  })
  await run.atOnce(all, mostAtOnce, (slot) => run.insist(() => remove(run, slot, run.stopping)))
  await rolling(run)
}
