import { parseDuration } from '../go/duration.ts'
import { shellWords } from '../go/shell-words.ts'
import { refuse, type Place } from './schema.ts'
import type { MountSection, Sections } from './sections.ts'
import { sizeIn } from './size.ts'

/** The names of the process groups. */
type Groups = ReadonlySet<string>

/** Refuses what flyctl's own validation refuses, and warns about what it ignores. */
export function checkFlyToml(file: Sections, groups: Groups, warn: Place['warn']): void {
  const { deploy, build, mounts = [], checks = {}, files = [] } = file

  for (const [name, command] of Object.entries(file.processes ?? {}))
    refuseOpenQuote(`processes.${name}`, command)
  refuseOpenQuote('console_command', file.console_command)
  refuseOpenQuote('deploy.release_command', deploy?.release_command)
  if (deploy?.strategy === 'canary' && mounts.length > 0)
    refuse('deploy.strategy', "is 'canary', which cannot be used with mounts. Use 'rolling'.")
  const level = build?.compression_level ?? 0
  if (level < 0 || level > 9) refuse('build.compression_level', `is ${level}; it goes from 0 to 9.`)

  for (const [name, { type, interval, timeout }] of Object.entries(checks)) {
    if (type === undefined) refuse(`checks.${name}.type`, "must be 'http' or 'tcp'.")
    if (interval && seconds(interval) < 2) refuse(`checks.${name}.interval`, 'must be 2 s or more.')
    if (timeout && seconds(timeout) > 60) refuse(`checks.${name}.timeout`, 'must be 60 s or less.')
  }
  checkServices(file, groups, warn)
  checkRestarts(file, groups)
  for (const [index, mount] of mounts.entries()) checkMount(`mounts[${index}]`, mount)

  warnOfUnknownGroups(file, groups, warn)
  if (files.some(({ processes }) => processes))
    warn('files.processes', 'has no effect: every process group gets the file.')
}

function refuseOpenQuote(key: string, command: string | undefined): void {
  if (command !== undefined && shellWords(command).isOpen)
    refuse(key, `has a quote that is not closed: ${command}`)
}

const seconds = (duration: string): number => Number(parseDuration(duration)) / 1e9

function checkServices(file: Sections, groups: Groups, warn: Place['warn']): void {
  for (const [key, { internal_port, processes }, isOpen] of allServices(file)) {
    const unknown = unknownGroup(processes, groups)
    if (!processes && file.processes)
      refuse(
        `${key}.processes`,
        `is missing: it must say which of ${[...groups].join(', ')} this service is for.`,
      )
    if (unknown !== undefined)
      refuse(
        `${key}.processes`,
        `names '${unknown}', which is not in [processes]. Add it there or take it out here.`,
      )
    if (!isOpen)
      warn(`${key} (port ${internal_port ?? 'none'})`, 'has no ports; it cannot be reached.')
  }
}

function allServices({ http_service, services = [] }: Sections) {
  const listed = services.map(
    (service, index) => [`services[${index}]`, service, service.ports !== undefined] as const,
  )
  return http_service ? [['http_service', http_service, true] as const, ...listed] : listed
}

const unknownGroup = (names: string[] | undefined, groups: Groups): string | undefined =>
  names?.find((name) => !groups.has(name))

function checkRestarts({ restart = [] }: Sections, groups: Groups): void {
  for (const [index, { policy, processes }] of restart.entries()) {
    const unknown = unknownGroup(processes, groups)
    if (unknown !== undefined)
      refuse(
        `restart[${index}].processes`,
        `names '${unknown}', which is not in [processes]. Add it there or take it out.`,
      )
    if (policy === undefined)
      refuse(`restart[${index}].policy`, "must be 'always', 'never' or 'on-failure'.")
  }
}

function checkMount(key: string, mount: MountSection): void {
  checkGigabytes(`${key}.initial_size`, mount.initial_size, Infinity)

  const { snapshot_retention: days = 1, auto_extend_size_threshold: threshold } = mount
  if (days < 1 || days > 60) refuse(`${key}.snapshot_retention`, 'goes from 1 to 60 (days).')

  const increment = checkGigabytes(
    `${key}.auto_extend_size_increment`,
    mount.auto_extend_size_increment,
    100,
  )
  const limit = checkGigabytes(`${key}.auto_extend_size_limit`, mount.auto_extend_size_limit, 500)

  if (threshold === undefined && increment === undefined && limit === undefined) return
  if (threshold === undefined || threshold < 50 || threshold > 99)
    refuse(
      `${key}.auto_extend_size_threshold`,
      'is missing or out of range: a growing volume needs a threshold from 50 to 99 (percent).',
    )
  if (increment === undefined)
    refuse(`${key}.auto_extend_size_increment`, 'is missing: a growing volume needs an increment.')
}

function checkGigabytes(key: string, text: string | undefined, most: number): number | undefined {
  if (text === undefined) return undefined
  const size = sizeIn(text, 1e9)
  if (size === null) return refuse(key, `must be a size such as "10gb", not "${text}".`)
  return Number.isFinite(size) && size >= 1 && size <= most
    ? size
    : refuse(key, most === Infinity ? 'must be 1gb or more.' : `goes from 1gb to ${most}gb.`)
}

function warnOfUnknownGroups(file: Sections, groups: Groups, warn: Place['warn']): void {
  const { mounts = [], vm = [], metrics = [], checks = {} } = file
  const sections = { mounts, vm, metrics, checks: Object.values(checks) }
  for (const [section, list] of Object.entries(sections)) {
    const unknown = unknownGroup(
      list.flatMap(({ processes }) => processes ?? []),
      groups,
    )
    if (unknown)
      warn(section, `names '${unknown}', which is not in [processes]; that part is ignored.`)
  }
}
