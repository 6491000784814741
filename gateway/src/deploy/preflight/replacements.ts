import { Problem } from '#api/problem.ts'
import type { Volume } from '#fly/answers.ts'
import { lacksVolume } from '../config/merge-config.ts'
import type { DeployJob } from '../job.ts'
import type { DeployProgress, MachineStep } from '../progress.ts'
import { freeVolumes } from './volumes.ts'

type Job = Pick<DeployJob, 'app' | 'options'>
/** A new machine that takes the place of one without the volume that the config mounts. */
type Replacement = { step: MachineStep; machine: string; mount: string }

/** The machines that the deploy replaces, because a machine gets no volume while it exists. */
export const replacementsOf = ({ desired, steps }: DeployProgress): Replacement[] =>
  steps.flatMap((step) => {
    const { config = {} } = desired.groups.find(({ name }) => name === step.group) ?? {}
    const { replaces, base } = step
    if (replaces === undefined || !lacksVolume(base ?? {}, config)) return []
    return [{ step, machine: replaces, mount: config.mounts?.[0]?.name ?? '' }]
  })

/**
 * Chooses a free volume for each new machine, in the region of the machine that it replaces. Throws
 * if one is missing and option `new-volumes` does not allow a new, empty one, and if a machine that
 * would be replaced holds a volume. Returns the volumes that are left.
 */
export function chooseVolumes(job: Job, replacements: Replacement[], volumes: Volume[]): Volume[] {
  const chosen = new Set<string>()
  const missing: Replacement[] = []
  for (const replacement of replacements) {
    const { step, machine, mount } = replacement
    if (mount === '') throw invalid('A mount has no source: name the volume.', { machine })
    // The config of a machine on an unreachable host may be incomplete.
    const held = volumes.find(({ attached_machine_id: holder }) => holder === machine)
    if (held) {
      const detail = `fly.toml mounts volume ${mount}, and machine ${machine} does not say that it mounts one. But it holds volume ${held.id} (${held.name}), so it is not replaced. Its host may be unreachable. Look at it, and try again: fly machine status ${machine} --app ${job.app}`
      throw invalid(detail, { machine, volume: held.id })
    }

    const free = freeVolumes(volumes, mount, step.region).find(({ id }) => !chosen.has(id))
    if (free) {
      chosen.add(free.id)
      step.volumes[mount] = free.id
    } else missing.push(replacement)
  }
  if (!job.options['new-volumes']) refuseMissing(job, missing, volumes)
  return volumes.filter(({ id }) => !chosen.has(id))
}

/** Throws if volumes are missing. Names those of one region, with the commands that make them. */
function refuseMissing({ app }: Job, missing: Replacement[], volumes: Volume[]): void {
  const [first] = missing
  if (!first) return
  const { step, mount } = first
  const { group, region } = step
  const machines = missing.filter((each) => each.mount === mount && each.step.region === region)
  const [machine, ...others] = machines.map((each) => each.machine)
  const whose =
    others.length > 0
      ? `machines ${[machine, ...others].slice(0, maxNames).join(', ')} of group ${group} have none (${machines.length} in all)`
      : `machine ${machine} of group ${group} has none`

  const elsewhere = volumes.find(({ name, region: of }) => name === mount && of !== region)
  const copy = elsewhere
    ? ` Volume ${elsewhere.id} of that name is in region ${elsewhere.region}. To copy it: fly volumes fork ${elsewhere.id} --region ${region} --app ${app}.`
    : ''
  const count = others.length > 0 ? ` --count ${machines.length}` : ''
  const away =
    elsewhere || others.length > 0
      ? ''
      : ` Or remove the machine, and the next deploy makes one with a new volume: fly machine stop ${machine} --app ${app}, then fly machine destroy ${machine} --app ${app}.`
  const detail = `fly.toml mounts volume ${mount}, and ${whose}. A machine gets a volume only when it is made, so the deploy replaces the machine when a volume of that name is free in its region, ${region}. Too few are free there.${copy} To make what is missing: fly volumes create ${mount} --region ${region}${count} --app ${app}. Or let the deploy make it: --new-volumes (new-volumes=true in a request).${away}`
  throw invalid(detail, { machine, region, volume: elsewhere?.id ?? null })
}
const maxNames = 5

const invalid = (detail: string, facts: object): Problem =>
  new Problem('fly-config-invalid', detail, { facts: { key: 'mounts', ...facts } })

/** What the log says about machines that are replaced, before any is touched. */
export const replacementNotes = (progress: DeployProgress): string[] =>
  replacementsOf(progress).map(({ step, machine, mount }) => {
    const chosen = step.volumes[mount]
    const volume = chosen ? `volume ${chosen} (${mount})` : `a new, empty volume (${mount})`
    return `Machine ${machine} has no volume and cannot get one. A new machine with ${volume} takes its place, with the same settings.`
  })
