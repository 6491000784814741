import type { ImageFacts } from '#api/deployment.ts'
import type { MachineConfig, Mount } from '../../fly/machine.ts'
import type { DesiredGroup } from './desired.ts'
import { isReserved } from '../../flytoml/reserved.ts'
import { shellText } from '../../flytoml/shell-words.ts'

/** What Tarmac writes on a machine beside the config. */
export type OwnershipMetadata = {
  image: Pick<ImageFacts, 'reference' | 'way'>
  deployment: string
  number: number
  /** Whose machine of the app it is; null: the app's. */
  owner: string | null
  builder: string | null
}

/** Sections that are wholly ours: absent in the desired config means gone. */
export const managed = [
  'services',
  'checks',
  'statics',
  'files',
  'metrics',
  'restart',
  'stop_config',
]

/** The desired config laid over what a machine has, so that whatever Tarmac does not manage survives. */
export function mergeConfig(
  present: MachineConfig,
  { config: desired, gone = [] }: Pick<DesiredGroup, 'config' | 'gone'>,
  marks: OwnershipMetadata,
): MachineConfig {
  const { image } = marks
  // Keys that an earlier deployment set and this one does not want go; keys that somebody else set stay.
  const setBefore = present.metadata?.['tarmac_env']?.split(',') ?? []
  const env = { ...omit(present.env, setBefore), ...desired.env }
  const goneIn = (part: string) =>
    gone.flatMap((path) => (path.startsWith(part) ? [path.slice(part.length)] : []))
  const init = {
    ...omit(present.init, ['cmd', 'entrypoint', 'exec', 'swap_size_mb', ...goneIn('init.')]),
    ...(image.way === 'railpack' ? asOneText(desired.init) : desired.init),
  }
  const metadata = {
    // A builder id of another builder would send Fly to that one's mirror for the image.
    ...omit(present.metadata, [
      'fly_builder_id',
      'fly_canary',
      'fly_bluegreen_deployment_tag',
      ...goneIn('metadata.'),
    ]),
    ...unmarked(desired.metadata),
    ...(marks.builder && { fly_builder_id: marks.builder }),
    ...(marks.owner && { tarmac_owner: marks.owner }),
    tarmac_deployment: marks.deployment,
    tarmac_number: `${marks.number}`,
    tarmac_env: Object.keys(desired.env ?? {}).join(','),
  }
  const containers = (desired['containers'] as { image?: string }[] | undefined)?.map((container) =>
    Object.assign({}, container, container.image === '.' && { image: image.reference }),
  )
  const mounts = layMounts(present.mounts, desired.mounts)
  return {
    ...omit(present, [...managed, ...gone]),
    ...desired,
    ...(mounts && { mounts }),
    ...(containers && { containers }),
    image: image.reference,
    env,
    init,
    metadata,
  }
}

/** The entrypoint of railpack's images, `bash -c`, runs its first word and passes over the rest. */
function asOneText(init: MachineConfig['init']): MachineConfig['init'] {
  const { cmd, entrypoint, exec } = (init ?? {}) as {
    cmd?: string[]
    entrypoint?: unknown
    exec?: unknown
  }
  return cmd && cmd.length > 1 && !entrypoint && !exec ? { ...init, cmd: [shellText(cmd)] } : init
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

/** Releases of older gateways may hold marks that their source had set. */
const unmarked = (metadata: Record<string, string> = {}): Record<string, string> =>
  Object.fromEntries(
    Object.entries(metadata).filter(([key]) => ownMarks.has(key) || !isReserved(key)),
  )
const ownMarks = new Set(['fly_platform_version', 'fly_process_group'])

export function omit<T extends object>(value: T | undefined, keys: string[]): T {
  const gone = new Set(keys)
  return Object.fromEntries(Object.entries(value ?? {}).filter(([key]) => !gone.has(key))) as T
}
