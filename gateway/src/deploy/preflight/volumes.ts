import { Problem } from '#api/problem.ts'
import type { Volume } from '#fly/answers.ts'
import type { Machine, Mount } from '#fly/machine.ts'
import type { DesiredApp } from '../config/desired-app.ts'
import type { DeployJob } from '../job.ts'
import { groupOf, isManaged, ownerOf } from '../managed.ts'
import type { DeployProgress, MachineStep } from '../progress.ts'

type Job = Pick<DeployJob, 'app' | 'desired' | 'options'>
/** What the app has on Fly. */
type Present = { machines: Machine[]; volumes: Volume[] }
/** A volume that a new machine needs, by name. */
type Need = { group: string; name: string; region: string }

/** The volumes that a new machine can take. Fly lists volumes for a day after their removal. */
export const freeVolumes = (volumes: Volume[], name: string, region: string): Volume[] =>
  volumes.filter((volume) => volume.name === name && volume.region === region && isFree(volume))

const isFree = ({ attached_machine_id: holder, state }: Volume): boolean =>
  !holder && !state?.includes('destroy')

/** The volumes that new machines need. */
export const neededVolumes = ({ desired, steps }: DeployProgress): Need[] =>
  steps
    .filter(({ role }) => role === 'new')
    .flatMap(({ group, region }) =>
      mountsOf(desired, group).map(({ name = '' }) => ({ group, name, region })),
    )

/**
 * Throws if a new machine would get a new, empty volume although data under its name exists: in a
 * free volume of another region, or in the volume of another group. Option `new-volumes` allows it.
 */
export function assertDataStays(job: Job, needs: Need[], present: Present): void {
  const taken = new Set<Volume>()
  for (const need of needs) {
    if (need.name === '') throw invalid('A mount has no source: name the volume.', {})
    const free = freeVolumes(present.volumes, need.name, need.region)
    const own = free.find((volume) => !taken.has(volume))
    if (own) taken.add(own)
    else if (!job.options['new-volumes']) assertNoneElsewhere(job, need, present)
  }
}

function assertNoneElsewhere(job: Job, need: Need, { machines, volumes }: Present): void {
  const { group, name, region } = need
  const begin = `Group ${group} mounts volume ${name} in region ${region}, where none is free, and a new one would be empty.`
  const anyway =
    'To make a new, empty one on purpose: --new-volumes (new-volumes=true in a request).'

  const elsewhere = volumes.find(
    (volume) => volume.name === name && volume.region !== region && isFree(volume),
  )
  if (elsewhere) {
    const { id, region: there } = elsewhere
    const detail = `${begin} Volume ${id} of that name is in region ${there}, held by no machine. To use it, deploy there: --region ${there} (region=${there} in a request), or primary_region in fly.toml. To copy it: fly volumes fork ${id} --region ${region} --app ${job.app}. ${anyway}`
    throw invalid(detail, { volume: id, region: there, machine: null })
  }

  for (const volume of volumes) {
    const holder = machines.find(({ id }) => id === volume.attached_machine_id)
    if (volume.name !== name || volume.region !== region || !holder) continue
    const isOurs = isManaged(holder) && ownerOf(holder) === job.options.owner
    if (!isOurs || groupOf(holder) === group) continue

    const { id } = volume
    const other = groupOf(holder)
    const stays = job.desired.groups.some((each) => each.name === other)
    const way = stays
      ? `To keep the two apart, give the mount of group ${group} another source.`
      : `To move it, remove that machine; the volume stays, and the next deploy takes it: fly machine stop ${holder.id} --app ${job.app}, then fly machine destroy ${holder.id} --app ${job.app}.`
    const detail = `${begin} Volume ${id} of that name in region ${region} is held by machine ${holder.id} of group ${other}. ${way} ${anyway}`
    throw invalid(detail, { volume: id, region, machine: holder.id })
  }
}

const invalid = (detail: string, facts: object): Problem =>
  new Problem('fly-config-invalid', detail, { facts: { key: 'mounts', ...facts } })

/** Warnings about volumes that machines keep although the config does not mount them any more. */
export const keptVolumes = (
  { app, desired }: Pick<Job, 'app' | 'desired'>,
  steps: MachineStep[],
): string[] =>
  steps.flatMap(({ role, group, machine, previous }) => {
    const isKept = role === 'update' && mountsOf(desired, group).length === 0
    return (isKept ? (previous?.config.mounts ?? []) : []).map(
      ({ name = 'without a name', volume, path }) =>
        `Group ${group} mounts no volume any more. Machine ${machine} keeps volume ${volume} (${name}) at ${path}. To take it off, remove the machine, and the next deploy makes one without it: fly machine stop ${machine} --app ${app}, then fly machine destroy ${machine} --app ${app}. The volume stays.`,
    )
  })

const mountsOf = ({ groups }: DesiredApp, group: string): Mount[] =>
  groups.find(({ name }) => name === group)?.config.mounts ?? []
