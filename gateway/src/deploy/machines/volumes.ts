import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { isUnavailable } from '#fly/fly-calls.ts'
import type { Mount } from '#fly/machine.ts'
import type { Execution } from '../execution.ts'
import type { MachineStep } from '../progress.ts'
import { freeVolumes } from '../preflight/volumes.ts'

/**
 * Gives a new machine a free volume for each mount: same name, same region. Creates missing ones.
 */
export function withVolumes(
  execution: Execution,
  step: MachineStep,
  mounts: Mount[],
): Promise<Mount[]> {
  // One machine after another, so that no two choose the same volume.
  return execution.serialize(async () => {
    const merged: Mount[] = []
    for (const mount of mounts) {
      const name = mount.name ?? ''
      step.volumes[name] ??= await freeVolume(execution, step, name)
      merged.push({ ...mount, volume: step.volumes[name] })
    }
    return merged
  })
}

async function freeVolume(execution: Execution, step: MachineStep, name: string): Promise<string> {
  const { settings, job, progress, stopping } = execution
  const chosen = new Set(progress.steps.flatMap(({ volumes }) => Object.values(volumes)))
  for (let attempt = 1; ; attempt++) {
    const volumes = await execution.retryWhileUnavailable(() =>
      settings.fly.volumes(job.app, stopping),
    )
    const free = freeVolumes(volumes, name, step.region).find(({ id }) => !chosen.has(id))
    if (free) return free.id

    try {
      const desired = { name, region: step.region, size_gb: 1, ...progress.desired.volumes[name] }
      const { id } = await settings.fly.createVolume(job.app, desired, stopping)
      job.emit({
        type: 'note',
        text: `Created volume ${id} (${name}, ${desired.size_gb} GB) in ${step.region}.`,
      })
      return id
    } catch (error) {
      // The volume may exist anyway.
      if (isUnavailable(error) && attempt < 5) continue
      const detail = `fly.toml mounts volume ${name}. Region ${step.region} has no free one, and none could be created (${errorMessage(error)}). Create one: fly volumes create ${name} --region ${step.region} --app ${job.app}`
      throw new Problem('fly-refused', detail, { cause: error, facts: { key: 'mounts' } })
    }
  }
}
