/**
 * A machine as the Machines API returns it, with its field names. Fields that are not listed here
 * are kept too.
 */
export type Machine = {
  id: string
  name: string
  /** The settled states are created, started, stopped, suspended and failed. */
  state: string
  region: string
  /** The machine's version: new with every update. */
  instance_id: string
  config: MachineConfig | null
  /** What Fly's state replica knows while the host is unreachable. `config` is null then. */
  incomplete_config?: MachineConfig | null
  /** The image that really runs. */
  image_ref?: { registry?: string; repository?: string; tag?: string; digest?: string }
  events?: MachineEvent[]
  checks?: { name: string; status: string; output?: string }[]
  host_status?: string
  /** Fly's proxy sends it no traffic. */
  cordoned?: boolean
}

export type MachineConfig = {
  image?: string
  env?: Record<string, string>
  metadata?: Record<string, string>
  init?: Record<string, unknown>
  guest?: Record<string, unknown>
  services?: MachineService[]
  checks?: Record<string, object>
  mounts?: Mount[]
  standbys?: string[]
  [field: string]: unknown
}
export type MachineService = {
  internal_port?: number
  autostop?: boolean | string
  checks?: object[]
  [field: string]: unknown
}
export type Mount = { name?: string; path?: string; volume?: string; [field: string]: unknown }

export type MachineEvent = {
  type: string
  status: string
  source?: string
  /** Milliseconds since 1970. */
  timestamp: number
  request?: {
    exit_event?: ExitEvent
    MonitorEvent?: { exit_event?: ExitEvent }
    error?: string
  } | null
}
export type ExitEvent = {
  exit_code?: number
  guest_exit_code?: number
  guest_signal?: number
  oom_killed?: boolean
  requested_stop?: boolean
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown) => typeof value === 'string'
const areTexts = (value: unknown) => isRecord(value) && Object.values(value).every(isText)
const areRecords = (value: unknown) => Array.isArray(value) && value.every(isRecord)

/** The fields that the gateway reads. Any of them may be absent or null. */
const configFields: Record<string, (value: unknown) => boolean> = {
  image: isText,
  env: areTexts,
  metadata: areTexts,
  init: isRecord,
  guest: isRecord,
  services: areRecords,
  checks: (value) => isRecord(value) && Object.values(value).every(isRecord),
  mounts: areRecords,
  standbys: (value) => Array.isArray(value) && value.every(isText),
}

/** Whether a stored or received value can be used as a machine's config. */
export const isMachineConfig = (value: unknown): value is MachineConfig =>
  isRecord(value) &&
  Object.entries(configFields).every(([name, fits]) => {
    const field = value[name]
    return field === undefined || field === null || fits(field)
  })

/** A machine's config, even while its host is unreachable. */
export const configOf = (machine: Machine): MachineConfig =>
  machine.config ?? machine.incomplete_config ?? {}

/** The image that runs, by digest if Fly reports it. */
export function imageOf(machine: Machine): string {
  const { registry, repository, digest } = machine.image_ref ?? {}
  return registry && repository && digest
    ? `${registry}/${repository}@${digest}`
    : (configOf(machine).image ?? '')
}

/** Events since the current version was created, newest first. */
export function eventsOf(machine: Machine): MachineEvent[] {
  const events = (machine.events ?? []).toSorted((a, b) => b.timestamp - a.timestamp)
  const born = events.findIndex(({ type }) => type === 'update' || type === 'launch')
  return events.slice(0, born === -1 ? undefined : born)
}

/** Exits of the machine's program, newest first. */
export const exitsOf = (machine: Machine): ExitEvent[] =>
  eventsOf(machine).flatMap(({ type, request }) =>
    type === 'exit' || type === 'crash'
      ? [request?.exit_event ?? request?.MonitorEvent?.exit_event ?? {}]
      : [],
  )

/** Descriptions of the exits that nobody requested, newest first. */
export const crashesOf = (machine: Machine): string[] =>
  exitsOf(machine)
    .filter((exit) => !exit.requested_stop)
    .map(exitWords)

export function exitWords(exit: ExitEvent): string {
  if (exit.oom_killed) return 'ran out of memory'
  if (exit.guest_signal && exit.guest_signal > 0) return `was killed by signal ${exit.guest_signal}`
  return `ended by itself with exit code ${exitCodeOf(exit)}`
}

/** Fly may omit the exit code of a clean exit. */
export const exitCodeOf = (exit: ExitEvent): number => exit.exit_code ?? exit.guest_exit_code ?? 0
