import type { ImageFacts } from '#api/deployment.ts'
import type { PreviewOf } from '#api/previews/preview.ts'
import type { MachineConfig, Mount } from '#fly/machine.ts'
import type { FlyRelease } from '#fly/releases-api.ts'
import {
  previewEndMark,
  previewMark,
  previewOwnerMark,
} from '../../deployments/previews/preview-names.ts'
import { isReserved } from '../../flytoml/reserved.ts'
import { shellText } from '../../go/shell-words.ts'
import type { DesiredGroup } from './desired-app.ts'

/** What Tarmac writes to a machine in addition to the desired config. */
export type OwnershipMetadata = {
  image: Pick<ImageFacts, 'reference' | 'builder' | 'digest' | 'tags'>
  deployment: string
  number: number
  /** The owner of the machine. Null: the app itself. */
  owner: string | null
  builder: string | null
  /** The preview that the machine is. Null: it is none. */
  preview?: PreviewOf | null
  /** Fly's own release of the deploy, if it is registered already. */
  flyRelease?: Pick<FlyRelease, 'id' | 'version'> | null
}

/** The marks by which flyctl finds the release that a machine runs. */
export const releaseMarks = ({ id, version }: Pick<FlyRelease, 'id' | 'version'>) => ({
  fly_release_id: id,
  fly_release_version: `${version}`,
})
const releaseMarkNames = ['fly_release_id', 'fly_release_version']

/** The marks by which the machine of a preview is found on Fly. */
export const previewMarks = ({ id, app, owner, expiresAt }: PreviewOf) => ({
  [previewMark]: id,
  tarmac_preview_app: app,
  ...(owner && { [previewOwnerMark]: owner }),
  [previewEndMark]: expiresAt,
})

/** Sections that Tarmac fully manages. A section that the desired config lacks is removed. */
export const managed = [
  'services',
  'checks',
  'statics',
  'files',
  'metrics',
  'restart',
  'stop_config',
]

/**
 * Merges the desired config into a machine's present config. Keeps whatever Tarmac does not manage.
 */
export function mergeConfig(
  present: MachineConfig,
  { config: desired, removedPaths = [] }: Pick<DesiredGroup, 'config' | 'removedPaths'>,
  ownership: OwnershipMetadata,
): MachineConfig {
  const { image } = ownership

  // Remove keys that only an earlier deployment set. Keep keys that somebody else set.
  const setBefore = present.metadata?.['tarmac_env']?.split(',') ?? []
  const isNoStandby = !isStandby(present, desired)
  const ofStandby = isNoStandby ? ['FLY_STANDBY_FOR'] : []
  const env = { ...omit(present.env ?? {}, [...setBefore, ...ofStandby]), ...desired.env }

  const goneIn = (part: string) =>
    removedPaths.flatMap((path) => (path.startsWith(part) ? [path.slice(part.length)] : []))
  const init = {
    ...omit(present.init ?? {}, ['cmd', 'entrypoint', 'exec', 'swap_size_mb', ...goneIn('init.')]),
    ...(image.builder === 'railpack' ? asOneText(desired.init) : desired.init),
  }

  const metadata = {
    // The id of another gateway would make Fly look for the image in that gateway's mirror.
    ...omit(present.metadata ?? {}, [
      'fly_builder_id',
      'fly_canary',
      'fly_bluegreen_deployment_tag',
      // Of an earlier release. Without the new one they are untrue.
      ...releaseMarkNames,
      ...goneIn('metadata.'),
    ]),
    ...unmarked(desired.metadata),
    ...(ownership.builder && { fly_builder_id: ownership.builder }),
    ...(ownership.flyRelease && releaseMarks(ownership.flyRelease)),
    ...(ownership.owner && { tarmac_owner: ownership.owner }),
    ...(ownership.preview && previewMarks(ownership.preview)),
    tarmac_deployment: ownership.deployment,
    tarmac_number: `${ownership.number}`,
    tarmac_env: Object.keys(desired.env ?? {}).join(','),
  }

  const named = withTag(image)
  const containers = desired.containers?.map((container) =>
    Object.assign({}, container, container.image === '.' && { image: named }),
  )
  const mounts = mergeMounts(present.mounts, desired.mounts)

  return {
    ...omit(present, [...managed, ...(isNoStandby ? ['standbys'] : []), ...removedPaths]),
    ...desired,
    ...(mounts && { mounts }),
    ...(containers && { containers }),
    image: named,
    env,
    init,
    metadata,
  }
}

/** The image as machines name it: by a tag, which people can read, and by the digest, which decides. */
export function withTag({ reference, digest, tags }: Omit<OwnershipMetadata['image'], 'builder'>) {
  const [tag] = tags
  return tag === undefined ? reference : reference.replace(`@${digest}`, `:${tag}@${digest}`)
}

/** Whether the machine waits for another one to fail. A machine with a service never does. */
export const isStandby = (
  present: Pick<MachineConfig, 'standbys'>,
  desired: Pick<MachineConfig, 'services'>,
): boolean => (present.standbys?.length ?? 0) > 0 && !desired.services?.length

/** The entrypoint of railpack's images, `bash -c`, runs its first argument and ignores the rest. */
function asOneText(init: MachineConfig['init']): MachineConfig['init'] {
  const { cmd = [], entrypoint, exec } = init ?? {}
  return cmd.length > 1 && !entrypoint && !exec ? { ...init, cmd: [shellText(cmd)] } : init
}

/** A machine has one volume at most, so a mount without a name is that volume's. */
export const isSameMount = (one: Mount, other: Mount): boolean =>
  !one.name || !other.name || one.name === other.name

/** Whether the machine has no volume although the config mounts one. A machine gets none later. */
export const lacksVolume = (
  present: Pick<MachineConfig, 'mounts'>,
  desired: Pick<MachineConfig, 'mounts'>,
): boolean => !present.mounts?.length && (desired.mounts?.length ?? 0) > 0

/** What `auto_extend_*` of fly.toml sets in a mount. */
const extendKeys = ['extend_threshold_percent', 'add_size_gb', 'size_gb_limit']

/**
 * A mount keeps its volume, matched by name. Mounts that fly.toml does not name stay too. How a
 * volume grows by itself is what fly.toml says.
 */
function mergeMounts(present: Mount[] = [], desired: Mount[] = []): Mount[] | undefined {
  const kept = present.filter((mount) => !desired.some((one) => isSameMount(one, mount)))
  const merged = desired.map((mount) => {
    const found = present.find((one) => isSameMount(one, mount)) ?? {}
    return { ...omit(found, extendKeys), ...omit(mount, mount.name ? [] : ['name']) }
  })
  return kept.length + merged.length > 0 ? [...kept, ...merged] : undefined
}

/** Releases of older gateways may contain reserved keys that their source set. */
const unmarked = (metadata: Record<string, string> = {}): Record<string, string> =>
  Object.fromEntries(
    Object.entries(metadata).filter(([key]) => ownMarks.has(key) || !isReserved(key)),
  )
const ownMarks = new Set(['fly_platform_version', 'fly_process_group'])

export function omit<T extends Record<string, unknown>>(value: T, keys: string[]): T {
  const rest = { ...value }
  for (const key of keys) delete rest[key]
  return rest
}
