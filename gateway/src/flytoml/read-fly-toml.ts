import type { MachineConfig } from '../fly/machine.ts'
import { refuseManyGroups } from './group-limits.ts'
import { baseConfig } from './base-config.ts'
import { checkFlyToml } from './check-fly-toml.ts'
import { flyTomlShape, type Sections, type Strategy } from './sections.ts'
import { parseDuration } from '../go/duration.ts'
import type { ReadSource } from '../host/read-source-file.ts'
import { machineFiles } from './machine-files.ts'
import { parseToml, plain } from './parse-toml.ts'
import { patchToml } from './legacy-syntax.ts'
import { refuseEnvNames, refuseReservedGroups } from './reserved.ts'
import { defined, refuse, warningOf, type Place } from './schema.ts'
import { shellWords } from './shell-words.ts'
import { sizeIn } from './size.ts'
import { maxTomlParts, tomlParts } from './toml-size.ts'

const releaseMs = 300_000
const maxWarnings = 100

/** Files that `[build.compose]` looks for if it names none. */
const composeFiles = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml']

/** The content of a fly.toml. */
export type FlyToml = {
  app: string | null
  primaryRegion: string | null
  /** Process groups in order, each with the words of its command. Null: it has none. */
  groups: Map<string, string[] | null>
  strategy: Strategy | null
  /** A share of the machines if below 1, else a count. */
  maxUnavailable: number | null
  waitMs: number | null
  releaseTimeoutMs: number
  build: { image?: string; dockerfile?: string; target?: string; args: Record<string, string> }
  /** By mount name. */
  volumes: Record<string, VolumeSize>
  /** In the format of machine configs. */
  files: object[]
  /** From `machine_config`. Everything else overrides it. */
  base: MachineConfig
  /** All sections, as the file has them. */
  sections: Sections
}
/** Size of a new volume for a mount. */
export type VolumeSize = { size_gb: number; snapshot_retention?: number }

/**
 * Reads and checks a fly.toml as flyctl does. Throws `fly-config-invalid` for what flyctl would
 * refuse.
 */
export function readFlyToml(
  text: string,
  readFile: ReadSource,
  emit: (text: string) => void,
): FlyToml {
  let warnings = 0
  const warn: Place['warn'] = (key, words) => {
    if (++warnings <= maxWarnings) emit(warningOf(key, words))
    if (warnings === maxWarnings)
      emit('fly.toml: there may be more such warnings, which are not shown.')
  }

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
  checkFlyToml(sections, names, warn)

  const { deploy, build, processes } = sections
  const files = machineFiles(sections.files ?? [], readFile)
  const base = baseConfig(sections, readFile, warn)
  refuseManyGroups(names.length, {
    sizeChars: text.length + JSON.stringify([files, base]).length,
    parts,
  })

  if (
    build?.compose &&
    (build.compose.file || composeFiles.some((path) => isThere(path, readFile)))
  )
    refuse(
      'build.compose',
      'is not supported by this builder. Build one image with a Dockerfile instead.',
    )

  return {
    app: sections.app ?? null,
    primaryRegion: sections.primary_region ?? null,
    groups: new Map(
      names.map((name) => [name, processes?.[name] ? shellWords(processes[name]) : null]),
    ),
    strategy: deploy?.strategy ?? null,
    maxUnavailable: deploy?.max_unavailable ?? null,
    waitMs:
      deploy?.wait_timeout === undefined ? null : Math.max(milliseconds(deploy.wait_timeout), 1000),
    releaseTimeoutMs: deploy?.release_command_timeout
      ? milliseconds(deploy.release_command_timeout)
      : releaseMs,
    build: defined({
      image: build?.image,
      dockerfile: build?.dockerfile,
      target: build?.['build-target'],
      args: build?.args ?? {},
    }),
    volumes: Object.fromEntries(
      (sections.mounts ?? []).map((mount) => [mount.source ?? '', volumeSize(mount)]),
    ),
    files,
    base,
    sections,
  }
}

/** A file that exists but cannot be read counts too. */
function isThere(path: string, readFile: ReadSource): boolean {
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
