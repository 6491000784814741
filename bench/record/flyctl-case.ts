import { stripVTControlCharacters } from 'node:util'
import { parse } from 'smol-toml'
import { z } from 'zod'

/** A case in the format of the recorded ones: see docs/upgrade-pins.md. */
export type FlyTomlRecord = {
  flyctl: string
  toml: string
  ok: boolean
  error?: string
  groups: Record<string, object>
  extra: { release_machine?: object }
}
type Config = Record<string, unknown>
/** How a command of flyctl ended. */
export type Ended = { ok: boolean; output: string }

const releaseGroup = 'fly_app_release_command'
const Text = z.record(z.string(), z.string()).catch({})
const Vm = z.array(z.looseObject({ processes: z.array(z.string()).optional() })).catch([])
const ReleaseVm = z
  .looseObject({ release_command_vm: z.unknown() })
  .catch({ release_command_vm: undefined })
const Guest = z.looseObject({})
const Containers = z.array(z.looseObject({ image: z.string().optional() })).optional()
const Mounts = z.array(z.looseObject({ volume: z.string().optional() })).optional()

/** The region that a fly.toml names. */
function regionIn(toml: string): string | null {
  try {
    const { primary_region: region } = parse(toml)
    return typeof region === 'string' && region !== '' ? region : null
  } catch {
    return null
  }
}

type Sent = {
  toml: string
  version: string
  /** The configs of the machines that flyctl created. */
  created: Config[]
  /** The fly.toml as flyctl read it. */
  definition: Config
  ended: Ended
}

/** A case from what flyctl sent, without what a deploy adds to the translated config. */
export function caseOf({ toml, version, created, definition, ended }: Sent): FlyTomlRecord {
  const groups: Record<string, object> = {}
  const extra: FlyTomlRecord['extra'] = {}
  for (const config of created) {
    const group = Text.parse(config['metadata'])['fly_process_group'] ?? 'app'
    const plain = withoutDeploy(config, { definition, region: regionIn(toml), group })
    if (group === releaseGroup) extra.release_machine = plain
    else groups[group] ??= plain
  }

  const ok = ended.ok || created.length > 0
  return { flyctl: version, toml, ok, ...(!ok && { error: errorIn(ended.output) }), groups, extra }
}

function withoutDeploy(
  config: Config,
  { definition, region, group }: { definition: Config; region: string | null; group: string },
): Config {
  const { image, guest, mounts, metadata, env, standbys: _standbys, ...rest } = config
  const containers = Containers.parse(config['containers'])
  const { fly_release_id: _id, fly_release_version: _version, ...kept } = Text.parse(metadata)
  const ownMounts = Mounts.parse(mounts)?.map(({ volume: _volume, ...mount }) => mount)
  const { PRIMARY_REGION: _ams, ...variables } = Text.parse(env)
  return sortHeaders({
    ...rest,
    // flyctl puts the image in place of "."
    ...(containers && {
      containers: containers.map((each) => (each.image === image ? { ...each, image: '.' } : each)),
    }),
    env: { ...variables, ...(region && { PRIMARY_REGION: region }) },
    ...(namesGuest(definition, group) && { guest: guestIn(definition, group, guest) }),
    ...(ownMounts && { mounts: ownMounts }),
    metadata: { ...kept, fly_flyctl_version: 'FLYCTL_VERSION' },
  })
}

/** The headers of checks in the order of their names: flyctl sends them in a random order. */
function sortHeaders<T>(value: T): T {
  const sorted = JSON.stringify(value, (key, each: unknown) =>
    key === 'headers' && Array.isArray(each)
      ? each.toSorted((a, b) => nameOf(a).localeCompare(nameOf(b)))
      : each,
  )
  return JSON.parse(sorted) as T
}
const Named = z.object({ name: z.string() }).catch({ name: '' })
const nameOf = (header: unknown): string => Named.parse(header).name

/** Whether the file names a size for these machines. Otherwise the deploy has added Fly's default. */
function namesGuest({ vm, deploy, machine_config }: Config, group: string): boolean {
  if (group === releaseGroup) return ReleaseVm.parse(deploy).release_command_vm !== undefined
  if (typeof machine_config === 'string' && hasGuest(machine_config)) return true
  return Vm.parse(vm).some(({ processes }) => !processes || processes.includes(group))
}

/** `machine_config` is JSON, or the name of a file. */
function hasGuest(machineConfig: string): boolean {
  try {
    return z.looseObject({ guest: Guest }).safeParse(JSON.parse(machineConfig)).success
  } catch {
    return false
  }
}

/** The size without the deploy's own dedication, which replaces that of the `[[vm]]` section. */
function guestIn({ vm }: Config, group: string, guest: unknown): unknown {
  const own = Vm.parse(vm).findLast(({ processes }) => processes?.includes(group))
  const dedication = own?.['host_dedication_id']
  return typeof dedication === 'string'
    ? { ...Guest.catch({}).parse(guest), host_dedication_id: dedication }
    : guest
}

/** flyctl's own last words. It prints the reason why a file is not valid before them. */
function errorIn(output: string): string {
  const plain = stripVTControlCharacters(output)
  const error = /^Error: ([^]*)/m.exec(plain)?.[1]?.trim()
  const findings = /^Validating .*\n([^]*?✘.*)$/m.exec(plain)?.[1]
  if (error !== notValid || findings === undefined)
    return error ?? plain.trim().split('\n').slice(-3).join('\n')
  const unread = /^\s*✘(.*)$/.exec(findings)?.[1]
  return unread ?? `${notValid}: Validating fly.toml\n${findings}`
}
const notValid = 'App configuration is not valid'
