import { mostAtOnce, type Execution } from '../execution.ts'
import { applyMachine } from '../machines/apply.ts'
import { appliedSteps } from '../plan.ts'

/**
 * Updates a few machines of a group at a time, the first one alone. The next follow when those
 * before are on the new version and pass their checks. Stopped machines come last.
 */
export async function rolling(run: Execution): Promise<void> {
  const { desired } = run.progress
  const steps = appliedSteps(run.progress)
  for (const { name } of desired.groups) {
    const awake = steps.filter(({ group, launch }) => group === name && launch)
    await run.forEachLimit(awake.slice(0, 1), 1, (step) => applyMachine(run, step))
    await run.forEachLimit(
      awake.slice(1),
      maxUnavailableCount(desired.maxUnavailable, awake.length),
      (step) => applyMachine(run, step),
    )
  }

  await run.forEachLimit(
    steps.filter(({ launch }) => !launch),
    mostAtOnce,
    (step) => applyMachine(run, step),
  )
}

/** How many of `machines` may be unavailable at once. `most` is a count, or a share if below 1. */
export const maxUnavailableCount = (most: number, machines: number): number =>
  Math.min(mostAtOnce, Math.max(1, most >= 1 ? Math.trunc(most) : Math.ceil(most * machines)))
