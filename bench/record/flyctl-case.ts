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
  const { image: _image, guest, mounts, metadata, env, standbys: _standbys, ...rest } = config
  const { fly_release_id: _id, fly_release_version: _version, ...kept } = Text.parse(metadata)
  const ownMounts = Mounts.parse(mounts)?.map(({ volume: _volume, ...mount }) => mount)
  const { PRIMARY_REGION: _ams, ...variables } = Text.parse(env)
  return {
    ...rest,
    env: { ...variables, ...(region && { PRIMARY_REGION: region }) },
    ...(namesGuest(definition, group) && { guest }),
    ...(ownMounts && { mounts: ownMounts }),
    metadata: { ...kept, fly_flyctl_version: 'FLYCTL_VERSION' },
  }
}

/** Whether the file names a size for these machines. Otherwise the deploy has added Fly's default. */
function namesGuest({ vm, deploy }: Config, group: string): boolean {
  if (group === releaseGroup) return ReleaseVm.parse(deploy).release_command_vm !== undefined
  return Vm.parse(vm).some(({ processes }) => !processes || processes.includes(group))
}

/** flyctl's own last words. */
function errorIn(output: string): string {
  const plain = stripVTControlCharacters(output)
  return /^Error: ([^]*)/m.exec(plain)?.[1]?.trim() ?? plain.trim().split('\n').slice(-3).join('\n')
}
