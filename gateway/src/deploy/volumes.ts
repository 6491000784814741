import { createHash } from 'node:crypto'
import { Problem } from '#api/problem.ts'
import type { MachineConfig, Mount } from '../fly/machine.ts'
import { isAway } from '../fly/machines-api.ts'
import type { Slot } from './rollout.ts'
import type { Run } from './run.ts'

const attempts = 3
const defaultGb = 1

/** Volumes of an owner's machine have a name of their own, so that no machine ever gets what another owner wrote. */
export function ownMounts(config: MachineConfig, owner: string | null | undefined): MachineConfig {
  if (!owner || !config.mounts) return config
  const mark = createHash('sha256').update(owner).digest('hex').slice(0, 12)
  const named = ({ name = '', ...mount }: Mount) => ({ ...mount, name: `${name.slice(0, 17)}_${mark}` })
  return { ...config, mounts: config.mounts.map(named) }
}

/** A machine that is made takes a free volume of each mount's name in its region; where there is none one is made. */
export async function withVolumes(run: Run, slot: Slot, mounts: Mount[]): Promise<Mount[]> {
  for (const { name = '' } of mounts) await takeVolume(run, slot, name)
  return mounts.map((mount) => Object.assign({}, mount, { volume: slot.volumes?.[mount.name ?? ''] }))
}

async function takeVolume(run: Run, slot: Slot, name: string): Promise<void> {
  const { settings, work, rollout } = run
  const { fly } = settings
  for (let attempt = 1; ; attempt++) {
    if (slot.volumes?.[name]) return await run.save()
    const volumes = await fly.volumes(work.app, work.signal)
    const taken = new Set(rollout.slots.flatMap((other) => Object.values(other.volumes ?? {})))
    const free = volumes.find(
      (volume) =>
        volume.name === name &&
        volume.region === slot.region &&
        volume.state === 'created' &&
        !volume.attached_machine_id &&
        !taken.has(volume.id),
    )
    // Chosen in the same breath in which it was seen to be free: slots may be filled side by side.
    if (free) (slot.volumes ??= {})[name] = free.id
    else if (attempt === attempts)
      throw new Problem('fly-unavailable', `Fly made no volume ${name} in region ${slot.region}. Try again later.`)
    else await makeVolume(run, slot, name)
  }
}

/** What is made is found by the next look, also when the answer is lost. */
async function makeVolume({ settings, work, rollout }: Run, slot: Slot, name: string): Promise<void> {
  const { guest, groups, volumeGb } = rollout.desired
  const group = groups.find((group) => group.name === slot.group)
  const wish = group?.config.mounts?.find((mount) => name.startsWith(`${mount.name?.slice(0, 17)}`))
  const sizeGb = volumeGb[wish?.name ?? name] ?? defaultGb
  const compute = group?.config.guest ?? guest
  try {
    await settings.fly.createVolume(
      work.app,
      { name, region: slot.region, size_gb: sizeGb, encrypted: true, compute },
      work.signal,
    )
    work.tell({ type: 'note', text: `Made volume ${name} of ${sizeGb} GB in region ${slot.region}.` })
  } catch (error) {
    if (!isAway(error)) throw error
  }
}
