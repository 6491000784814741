import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { isUnavailable } from '../../fly/fly-calls.ts'
import type { Mount } from '../../fly/machine.ts'
import type { Execution } from '../execution.ts'
import type { MachineStep } from '../progress.ts'
import { freeVolumes } from '../preflight/volumes.ts'

/**
 * Gives a new machine a free volume for each mount: same name, same region. Creates missing ones.
 */
export function withVolumes(run: Execution, step: MachineStep, mounts: Mount[]): Promise<Mount[]> {
  // One machine after another, so that no two choose the same volume.
  return run.serialize(async () => {
    const merged: Mount[] = []
    for (const mount of mounts) {
      const name = mount.name ?? ''
      step.volumes[name] ??= await freeVolume(run, step, name)
      merged.push({ ...mount, volume: step.volumes[name] })
    }
    return merged
  })
}

async function freeVolume(run: Execution, step: MachineStep, name: string): Promise<string> {
  const { settings, work, progress, stopping } = run
  const chosen = new Set(progress.steps.flatMap(({ volumes }) => Object.values(volumes)))
  for (let attempt = 1; ; attempt++) {
    const volumes = await run.retryWhileUnavailable(() => settings.fly.volumes(work.app, stopping))
    const free = freeVolumes(volumes, name, step.region).find(({ id }) => !chosen.has(id))
    if (free) return free.id

    try {
      const desired = { name, region: step.region, size_gb: 1, ...progress.desired.volumes[name] }
      const { id } = await settings.fly.createVolume(work.app, desired, stopping)
      work.emit({
        type: 'note',
        text: `Made volume ${id} (${name}, ${desired.size_gb} GB) in ${step.region}.`,
      })
      return id
    } catch (error) {
      // The volume may exist anyway.
      if (isUnavailable(error) && attempt < 5) continue
      const detail = `fly.toml mounts volume ${name}, there is none free in region ${step.region}, and none could be made (${errorMessage(error)}). Make one: fly volumes create ${name} --region ${step.region} --app ${work.app}`
      throw new Problem('fly-refused', detail, { cause: error, facts: { key: 'mounts' } })
    }
  }
}
