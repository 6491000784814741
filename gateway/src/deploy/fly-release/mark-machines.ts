import { statusOf } from '#fly/fly-calls.ts'
import { releaseMarks } from '../config/merge-config.ts'
import { maxParallel, type Execution } from '../execution.ts'
import { forEachLimit } from '#api/flow/for-each-limit.ts'
import { appliedSteps } from '../plan.ts'
import type { FlyReleaseProgress } from '../progress.ts'

/**
 * Writes the marks of Fly's release to the machines that got their config before Fly had answered.
 * Metadata makes no new version.
 */
export async function markMachines(
  execution: Execution,
  made: NonNullable<FlyReleaseProgress['made']>,
  signal: AbortSignal,
): Promise<void> {
  const marks = releaseMarks(made)
  const unmarked = appliedSteps(execution.progress).filter((step) => step.marked !== made.id)
  await forEachLimit(unmarked, maxParallel, async (step) => {
    if (!step.machine || !step.now) return
    const machine = execution.withoutLease(step)
    await machine.mergeMetadata(marks, step.now.instanceId, signal).catch((error: unknown) => {
      // Something else has destroyed or changed the machine meanwhile.
      if (![404, 412].includes(statusOf(error) ?? 0)) throw error
    })
  })
}
