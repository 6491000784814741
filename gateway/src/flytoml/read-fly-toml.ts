import type { Strategy } from '#api/options/strategy.ts'
import type { MachineConfig } from '../fly/machine.ts'
import { parseDuration } from '../go/duration.ts'
import type { ReadSource } from '../host/read-source-file.ts'
import { baseConfig } from './base-config.ts'
import { checkFlyToml } from './check-fly-toml.ts'
import { refuseManyGroups } from './group-limits.ts'
import { patchToml } from './legacy-syntax.ts'
import { machineConfig, releaseMachine } from './machine-config.ts'
import { machineFiles } from './machine-files.ts'
import { parseToml, plain } from './parse-toml.ts'
import { refuseEnvNames, refuseReservedGroups } from './reserved.ts'
import { defined, refuse, warningOf, type Place } from './schema.ts'
import { flyTomlShape, type Sections } from './sections.ts'
import { sizeIn } from './size.ts'
import { maxTomlParts, tomlParts } from './toml-size.ts'

const releaseMs = 300_000
const maxWarnings = 100

/** What a fly.toml says. */
export type FlyToml = {
  app: string | null
  primaryRegion: string | null
  /**
   * The machine config of each process group, in order. Image, volumes and Tarmac's own metadata
   * come later.
   */
  groups: Map<string, MachineConfig>
  /** The machine config of the release command, and its time limit. */
  releaseCommand: { config: MachineConfig; timeoutMs: number } | null
  strategy: Strategy | null
  /** A share of the machines if below 1, else a count. */
  maxUnavailable: number | null
  waitMs: number | null
  build: { image?: string; dockerfile?: string; target?: string; args: Record<string, string> }
  /** Sizes of new volumes, by mount name. */
  volumes: Record<string, VolumeSize>
}
type VolumeSize = { size_gb: number; snapshot_retention?: number }

/**
 * Reads and checks a fly.toml as flyctl does. Throws `fly-config-invalid` for what flyctl would
 * refuse.
 */
export function readFlyToml(
  text: string,
  readFile: ReadSource,
  emit: (text: string) => void,
): FlyToml {
  const warn = limitedWarnings(emit)
  const parts = tomlParts(text)
  if (parts > maxTomlParts)
    refuse(
      'it',
      `has more than ${maxTomlParts} lines, keys and items. Put what is long into a file of the image.`,
    )
  const sections = flyTomlShape(plain(patchToml(parseToml(text))), { key: '', warn }) ?? {}

  const names = Object.keys(sections.processes ?? { app: '' }).toSorted()
  refuseManyGroups(names.length, { sizeChars: text.length, parts })
  refuseReservedGroups(names)
  refuseEnvNames(sections.env ?? {})
  checkFlyToml(sections, new Set(names), warn)

  const files = machineFiles(sections.files ?? [], readFile)
  const base = baseConfig(sections, readFile, warn)
  const extraChars = JSON.stringify([files, base]).length
  refuseManyGroups(names.length, { sizeChars: text.length + extraChars, parts })
  refuseCompose(sections, readFile)

  const defaultGroup = names.includes('app') ? 'app' : names[0]
  const source = { sections, defaultGroup, files, base }
  const configs = names.map((name): [string, MachineConfig] => [name, machineConfig(source, name)])
  const command = releaseMachine(source)

  const { deploy = {}, build = {}, mounts = [] } = sections
  const { wait_timeout: wait, release_command_timeout: timeout } = deploy
  return {
    app: sections.app ?? null,
    primaryRegion: sections.primary_region ?? null,
    groups: new Map(configs),
    releaseCommand: command && {
      config: command,
      timeoutMs: timeout ? milliseconds(timeout) : releaseMs,
    },
    strategy: deploy.strategy ?? null,
    maxUnavailable: deploy.max_unavailable ?? null,
    waitMs: wait === undefined ? null : Math.max(milliseconds(wait), 1000),
    build: defined({
      image: build.image,
      dockerfile: build.dockerfile,
      target: build['build-target'],
      args: build.args ?? {},
    }),
    volumes: Object.fromEntries(mounts.map((mount) => [mount.source ?? '', volumeSize(mount)])),
  }
}

function limitedWarnings(emit: (text: string) => void): Place['warn'] {
  let warnings = 0
  return (key, words) => {
    if (++warnings <= maxWarnings) emit(warningOf(key, words))
    if (warnings === maxWarnings)
      emit('fly.toml: there may be more such warnings, which are not shown.')
  }
}

/** Files that `[build.compose]` looks for if it names none. */
const composeFiles = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml']

function refuseCompose({ build }: Sections, readFile: ReadSource): void {
  if (!build?.compose) return
  if (build.compose.file || composeFiles.some((path) => exists(path, readFile)))
    refuse(
      'build.compose',
      'is not supported by the gateway. Build one image with a Dockerfile instead.',
    )
}

/** A file that exists but cannot be read counts too. */
function exists(path: string, readFile: ReadSource): boolean {
  try {
    return readFile(path) !== null
  } catch {
    return true
  }
}

const milliseconds = (duration: string): number => Number(parseDuration(duration)) / 1e6

const volumeSize = ({
  initial_size = '1',
  snapshot_retention,
}: NonNullable<Sections['mounts']>[number]): VolumeSize =>
  defined({ size_gb: sizeIn(initial_size, 1e9) ?? 1, snapshot_retention })
