import type { Strategy } from '#api/options/strategy.ts'
import { Problem } from '#api/problem.ts'
import type { MachineConfig } from '#fly/machine.ts'
import { parseDuration } from '../go/duration.ts'
import { dir, join } from '../go/paths.ts'
import type { ReadSource } from '../host/read-source-file.ts'
import { baseConfig } from './base-config.ts'
import { checkFlyToml } from './check-fly-toml.ts'
import { refuseForFly } from './fly-limits.ts'
import { refuseManyGroups } from './group-limits.ts'
import { patchToml } from './legacy-syntax.ts'
import { machineChecksOf } from './machine-checks.ts'
import { machineConfig, releaseMachine } from './machine-config.ts'
import { machineFiles } from './machine-files.ts'
import { parseConfig } from './formats/parse-config.ts'
import { plain } from './formats/parse-toml.ts'
import { refuseEnvNames, refuseReservedGroups } from './reserved.ts'
import { defined, isTable, refuse, warningOf, type Place } from './schema.ts'
import { flyTomlShape, type Sections } from './sections.ts'
import { sizeIn } from './size.ts'
import { maxTomlParts, tomlParts, yamlParts } from './formats/toml-size.ts'

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
  /** The machine configs of each group's `machine_checks`. */
  machineChecks: Map<string, MachineConfig[]>
  /** The machine config of the release command, and its time limit. */
  releaseCommand: { config: MachineConfig; timeoutMs: number } | null
  strategy: Strategy | null
  /** A share of the machines if below 1, else a count. */
  maxUnavailable: number | null
  waitMs: number | null
  build: FlyBuild
  /** Sizes of new volumes, by mount name. */
  volumes: Record<string, VolumeSize>
  /** The whole file, in the present spelling. The values of `env` are texts. */
  values: Record<string, unknown>
}
/** The `[build]` section. Paths are from the root of the source. */
type FlyBuild = {
  image?: string
  dockerfile?: string
  ignorefile?: string
  target?: string
  args: Record<string, string>
  /** `gzip` or `zstd`. */
  compression?: string
  compressionLevel?: number
}
type VolumeSize = { size_gb: number; snapshot_retention?: number }

/**
 * Reads and checks a fly.toml as flyctl does. Throws `fly-config-invalid` for what flyctl would
 * refuse. The ending of `path` says whether it is TOML, JSON or YAML.
 */
export function readFlyToml(
  text: string,
  readFile: ReadSource,
  emit: (text: string) => void,
  path = 'fly.toml',
): FlyToml {
  return flyTomlOf(readSections(text, path, limitedWarnings(emit)), readFile)
}

/**
 * Like `readFlyToml`, for a deploy: also refuses what Fly would refuse after the build. Messages
 * name the file by its path.
 */
export function readFlyConfig(
  text: string,
  readFile: ReadSource,
  emit: (text: string) => void,
  path: string,
): FlyToml {
  const named = (words: string) => words.replace(/^fly\.toml/, () => path)
  try {
    const warn = limitedWarnings((words) => emit(named(words)))
    const read = readSections(text, path, warn)
    refuseForFly(read.sections, read.names)
    return relativeTo(path, flyTomlOf(read, readFile))
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'fly-config-invalid') throw error
    throw new Problem(error.code, named(error.message), { cause: error.cause, facts: error.facts })
  }
}

/** flyctl looks for the files that [build] names beside the config file. */
function relativeTo(path: string, file: FlyToml): FlyToml {
  const folder = dir(path)
  const { dockerfile, ignorefile } = file.build
  if (folder === '.') return file
  return {
    ...file,
    build: {
      ...file.build,
      ...(dockerfile && { dockerfile: join(folder, dockerfile) }),
      ...(ignorefile && { ignorefile: join(folder, ignorefile) }),
    },
  }
}

type ReadSections = {
  values: Record<string, unknown>
  sections: Sections
  /** The process groups. */
  names: string[]
  size: { sizeChars: number; parts: number }
  warn: Place['warn']
}

function readSections(text: string, path: string, warn: Place['warn']): ReadSections {
  const isYaml = /\.ya?ml$/.test(path)
  const parts = isYaml ? yamlParts(text) : tomlParts(text)
  if (parts > maxTomlParts)
    refuse(
      'it',
      `has more than ${maxTomlParts} lines, keys and items. Put what is long into a file of the image.`,
    )
  const patched = plain(patchToml(parseConfig(text, path)))
  const sections = flyTomlShape(patched, { key: '', warn }) ?? {}
  const { env } = sections
  const values = { ...(isTable(patched) && patched), ...(env && { env }) }

  // An alias of YAML repeats what it names.
  const sizeChars = isYaml ? JSON.stringify(patched).length : text.length
  const names = Object.keys(sections.processes ?? { app: '' }).toSorted()
  refuseManyGroups(names.length, { sizeChars, parts })
  refuseReservedGroups(names)
  refuseEnvNames(sections.env ?? {})
  checkFlyToml(sections, new Set(names), warn)
  return { values, sections, names, size: { sizeChars, parts }, warn }
}

function flyTomlOf(read: ReadSections, readFile: ReadSource): FlyToml {
  const { values, sections, names, size, warn } = read
  const files = machineFiles(sections.files ?? [], readFile)
  const base = baseConfig(sections, readFile, warn)
  const sizeChars = size.sizeChars + JSON.stringify([files, base]).length
  refuseManyGroups(names.length, { ...size, sizeChars })
  refuseCompose(sections, readFile)

  const defaultGroup = names.includes('app') ? 'app' : names[0]
  const source = { sections, defaultGroup, files, base }
  const configs = names.map((name): [string, MachineConfig] => [name, machineConfig(source, name)])
  const command = releaseMachine(source)

  const { deploy = {}, build, mounts = [] } = sections
  const { wait_timeout: wait, release_command_timeout: timeout } = deploy
  return {
    app: sections.app ?? null,
    primaryRegion: sections.primary_region ?? null,
    groups: new Map(configs),
    machineChecks: new Map(names.map((name) => [name, machineChecksOf(source, name)])),
    releaseCommand: command && {
      config: command,
      timeoutMs: timeout ? milliseconds(timeout) : releaseMs,
    },
    strategy: deploy.strategy ?? null,
    maxUnavailable: deploy.max_unavailable ?? null,
    waitMs: wait === undefined ? null : Math.max(milliseconds(wait), 1000),
    build: buildOf(build),
    volumes: Object.fromEntries(mounts.map((mount) => [mount.source ?? '', volumeSize(mount)])),
    values,
  }
}

const buildOf = (build: Sections['build'] = {}): FlyBuild =>
  defined({
    image: build.image,
    dockerfile: build.dockerfile,
    ignorefile: build.ignorefile,
    target: build['build-target'],
    args: build.args ?? {},
    compression: build.compression || undefined,
    compressionLevel: build.compression_level,
  })

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
