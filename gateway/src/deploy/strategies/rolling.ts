import { maxParallel, type Execution } from '../execution.ts'
import { appliedSteps } from '../plan.ts'
import { applyStep } from './replace.ts'

/**
 * Updates a few machines of a group at a time, the first one alone. The next follow when those
 * before are on the new version and pass their checks. Stopped machines come last.
 */
export async function rolling(execution: Execution): Promise<void> {
  const { desired } = execution.progress
  const steps = appliedSteps(execution.progress)
  for (const { name } of desired.groups) {
    const awake = steps.filter(({ group, launch }) => group === name && launch)
    await execution.forEachLimit(awake.slice(0, 1), 1, (step) => applyStep(execution, step))
    await execution.forEachLimit(
      awake.slice(1),
      maxUnavailableCount(desired.maxUnavailable, awake.length),
      (step) => applyStep(execution, step),
    )
  }

  await execution.forEachLimit(
    steps.filter(({ launch }) => !launch),
    maxParallel,
    (step) => applyStep(execution, step),
  )
}

/**
 * How many of `machines` may be unavailable at once. `maxUnavailable` is a count, or a share if
 * below 1.
 */
export const maxUnavailableCount = (maxUnavailable: number, machines: number): number =>
  Math.min(
    maxParallel,
    Math.max(
      1,
      maxUnavailable >= 1 ? Math.trunc(maxUnavailable) : Math.ceil(maxUnavailable * machines),
    ),
  )
