import type { MachineConfig, Mount } from '../fly/machine.ts'

/** What Tarmac writes on a machine beside the config. `image` by digest. */
export type Marks = {
  image: string
  deployment: string
  number: number
  /** Whose machine of the app it is; null: the app's. */
  owner: string | null
  builder: string | null
}

/** Sections that are wholly ours: absent in the desired config means gone. */
const managed = ['services', 'checks', 'statics', 'files', 'metrics', 'restart', 'stop_config']

/** The desired config laid over what a machine has, so that whatever Tarmac does not manage survives. */
export function layOver(present: MachineConfig, desired: MachineConfig, marks: Marks): MachineConfig {
  // Keys that an earlier deployment set and this one does not want go; keys that somebody else set stay.
  const setBefore = present.metadata?.['tarmac_env']?.split(',') ?? []
  const env = { ...without(present.env, setBefore), ...desired.env }
  const init = { ...without(present.init, ['cmd', 'entrypoint', 'exec', 'swap_size_mb']), ...desired.init }
  const metadata = {
    // A builder id of another builder would send Fly to that one's mirror for the image.
    ...without(present.metadata, ['fly_builder_id', 'fly_canary', 'fly_bluegreen_deployment_tag']),
    ...desired.metadata,
    ...(marks.builder && { fly_builder_id: marks.builder }),
    ...(marks.owner && { tarmac_owner: marks.owner }),
    tarmac_deployment: marks.deployment,
    tarmac_number: `${marks.number}`,
    tarmac_env: Object.keys(desired.env ?? {}).join(','),
  }
  const mounts = layMounts(present.mounts, desired.mounts)
  return {
    ...without(present, managed),
    ...desired,
    ...(mounts && { mounts }),
    image: marks.image,
    env,
    init,
    metadata,
  }
}

/** Volumes stay where they are: a mount keeps its volume by name, and mounts that fly.toml does not name stay too. */
function layMounts(present: Mount[] = [], desired: Mount[] = []): Mount[] | undefined {
  const kept = present.filter((mount) => !desired.some(({ name }) => name === mount.name))
  const laid = desired.map((mount) =>
    Object.assign(
      {},
      present.find(({ name }) => name === mount.name),
      mount,
    ),
  )
  return kept.length + laid.length > 0 ? [...kept, ...laid] : undefined
}

const without = <T extends object>(value: T | undefined, keys: string[]): T =>
  Object.fromEntries(Object.entries(value ?? {}).filter(([key]) => !keys.includes(key))) as T
