import { bring, remove } from './bring.ts'
import { rolling } from './rolling.ts'
import { mostAtOnce, type Run } from './run.ts'

/** One machine more of each group first. Where it lives it has done its duty and goes, and the others follow as in rolling. */
export async function canary(run: Run): Promise<void> {
  const canaries = run.rollout.slots.filter(({ role, outcome }) => role === 'canary' && outcome !== 'removed')
  const untried = canaries.filter(({ intent }) => intent !== 'destroy') // the others were, before a crash
  await run.atOnce(untried, mostAtOnce, (slot) => bring(run, slot))
  await run.atOnce(canaries, mostAtOnce, (slot) => run.insist(() => remove(run, slot, run.stopping)))
  await rolling(run)
}
