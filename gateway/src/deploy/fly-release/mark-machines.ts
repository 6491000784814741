import { configOf } from '../../fly/machine.ts'
import { statusOf } from '../../fly/fly-calls.ts'
import { releaseMarks } from '../config/merge-config.ts'
import { maxParallel, type Execution } from '../execution.ts'
import { forEachLimit } from '../for-each-limit.ts'
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
  const { settings, job, progress } = execution
  const marks = releaseMarks(made)
  const machines = await settings.fly.machines(job.app, signal)
  const unmarked = machines.filter(
    (machine) =>
      configOf(machine).metadata?.['fly_release_id'] !== made.id &&
      appliedSteps(progress).some(
        ({ machine: id, now }) => id === machine.id && now?.instanceId === machine.instance_id,
      ),
  )

  await forEachLimit(unmarked, maxParallel, async ({ id, instance_id: version }) => {
    const machine = settings.fly.withoutLease({ app: job.app, id })
    await machine.mergeMetadata(marks, version, signal).catch((error: unknown) => {
      // Something else has destroyed or changed the machine meanwhile.
      if (![404, 412].includes(statusOf(error) ?? 0)) throw error
    })
  })
}
