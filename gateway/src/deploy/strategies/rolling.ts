import { mostAtOnce, type Run } from '../execution.ts'
import { bring } from '../machines/apply.ts'
import { broughtOver } from '../plan.ts'

/**
 * A few machines of a group at a time, the first alone: the next are touched when those before are on the new version and
 * pass their checks. Sleeping ones come last.
 */
export async function rolling(run: Run): Promise<void> {
  const { desired } = run.rollout
  const slots = broughtOver(run.rollout)
  for (const { name } of desired.groups) {
    const awake = slots.filter(({ group, launch }) => group === name && launch)
    await run.atOnce(awake.slice(0, 1), 1, (slot) => bring(run, slot))
    await run.atOnce(awake.slice(1), mayBeAway(desired.maxUnavailable, awake.length), (slot) => bring(run, slot))
  }
  await run.atOnce(
    slots.filter(({ launch }) => !launch),
    mostAtOnce,
    (slot) => bring(run, slot),
  )
}

/** Of so many machines; `most` is their number, or below 1 a share of them. */
export const mayBeAway = (most: number, machines: number): number =>
  Math.min(mostAtOnce, Math.max(1, most >= 1 ? Math.trunc(most) : Math.ceil(most * machines)))
