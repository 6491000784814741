import { pass, send } from '../machines/apply.ts'
import { broughtOver } from '../plan.ts'
import { mostAtOnce, type Run } from '../execution.ts'

/** Every machine is sent on its way without waiting for any; then each must have arrived. */
export async function immediate(run: Run): Promise<void> {
  const slots = broughtOver(run.rollout)
  for (const launch of [true, false]) {
    const some = slots.filter((slot) => slot.launch === launch)
    await run.atOnce(some, mostAtOnce, (slot) => send(run, slot))
  }
  await run.atOnce(slots, slots.length, (slot) => pass(run, slot))
}
