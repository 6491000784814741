import { z } from 'zod'

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
  /** Its address in the organisation's private network. */
  private_ip?: string
}

export type MachineConfig = {
  image?: string
  env?: Record<string, string>
  metadata?: Record<string, string>
  init?: { [word in 'exec' | 'entrypoint' | 'cmd']?: string[] } & Record<string, unknown>
  guest?: Record<string, unknown>
  services?: MachineService[]
  checks?: Record<string, MachineCheck>
  mounts?: Mount[]
  standbys?: string[]
  restart?: { policy?: string; [field: string]: unknown }
  dns?: Record<string, unknown>
  containers?: { image?: string; [field: string]: unknown }[]
  [field: string]: unknown
}
export type MachineService = {
  protocol?: string
  internal_port?: number
  autostop?: boolean | string
  checks?: MachineCheck[]
  [field: string]: unknown
}
/** `grace_period` is a duration as Go writes it, or nanoseconds. */
export type MachineCheck = { port?: number; grace_period?: unknown; [field: string]: unknown }
export type Mount = { name?: string; path?: string; volume?: string; [field: string]: unknown }
/** The hardware of a machine. */
export type Guest = { cpu_kind: string; cpus: number; memory_mb: number; [field: string]: unknown }

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
type ExitEvent = {
  exit_code?: number
  guest_exit_code?: number
  guest_signal?: number
  oom_killed?: boolean
  requested_stop?: boolean
}

/** The body of a call that creates a machine. */
export type NewIp = { type: string; network?: string }
export type NewMachine = {
  name: string
  region: string
  config: MachineConfig
  skip_launch?: boolean
  min_secrets_version?: number
  /** The machine starts cordoned. */
  skip_service_registration?: boolean
}

/** Addresses a machine. */
export type MachineRef = { app: string; id: string }

const text = z.string().nullish()
const words = z.array(z.string()).nullish()
const textByName = z.record(z.string(), z.string()).nullish()
const record = z.record(z.string(), z.unknown())
const configFields = z.looseObject({
  image: text,
  env: textByName,
  metadata: textByName,
  init: z.looseObject({ exec: words, entrypoint: words, cmd: words }).nullish(),
  guest: record.nullish(),
  services: z.array(record).nullish(),
  checks: z.record(z.string(), record).nullish(),
  mounts: z.array(record).nullish(),
  standbys: z.array(z.string()).nullish(),
  restart: z.looseObject({ policy: text }).nullish(),
  dns: record.nullish(),
  containers: z.array(z.looseObject({ image: text })).nullish(),
})
const machineFields = z.looseObject({
  id: z.string(),
  name: z.string(),
  state: z.string(),
  region: z.string(),
  instance_id: z.string(),
  config: configFields.nullish(),
  incomplete_config: configFields.nullish(),
  image_ref: record.nullish(),
  events: z.array(z.looseObject({ type: z.string(), status: z.string() })).nullish(),
  checks: z.array(z.looseObject({ name: z.string(), status: z.string() })).nullish(),
})

/** Whether a stored or received value can be used as a machine's config. */
export const isMachineConfig = (value: unknown): value is MachineConfig =>
  configFields.safeParse(value).success

/** Whether an answer of Fly can be used as a machine. */
export const isMachine = (it: unknown): it is Machine => machineFields.safeParse(it).success

/** A machine's config, even while its host is unreachable. */
export const configOf = (machine: Machine): MachineConfig =>
  machine.config ?? machine.incomplete_config ?? {}

/** The TCP ports to which Fly's proxy connects. */
export const servedPorts = ({ services = [] }: MachineConfig): number[] => [
  ...new Set(
    services.flatMap(({ protocol, internal_port: port }) =>
      port === undefined || protocol === 'udp' ? [] : [port],
    ),
  ),
]

/** The image that runs, by digest alone if Fly reports it. */
export function imageOf(machine: Machine): string {
  const { registry, repository, digest } = machine.image_ref ?? {}
  return registry && repository && digest
    ? `${registry}/${repository}@${digest}`
    : withoutTag(configOf(machine).image ?? '')
}

/** The reference of an image without its tag, if it has a digest. Only the digest says what runs. */
export const withoutTag = (reference: string): string =>
  reference.replace(/:\w[\w.-]{0,127}(?=@sha256:)/, '')

/** Whether a version of the machine began with this event. */
const isBirth = ({ type }: MachineEvent): boolean => type === 'update' || type === 'launch'

/** Events since the current version was created, newest first. */
export function eventsOf(machine: Machine): MachineEvent[] {
  const events = (machine.events ?? []).toSorted((a, b) => b.timestamp - a.timestamp)
  const born = events.findIndex(isBirth)
  return events.slice(0, born === -1 ? undefined : born)
}

/** Exits of the machine's program, newest first. */
export const exitsOf = (machine: Machine): ExitEvent[] =>
  timedExitsOf(machine).map(({ exit }) => exit)

const timedExitsOf = (machine: Machine): { at: number; exit: ExitEvent }[] =>
  eventsOf(machine).flatMap(({ type, timestamp: at, request }) =>
    type === 'exit' || type === 'crash'
      ? [{ at, exit: request?.exit_event ?? request?.MonitorEvent?.exit_event ?? {} }]
      : [],
  )

/**
 * Descriptions of the exits that nobody requested, newest first. A job may end with exit code 0:
 * that is no crash.
 */
export const crashesOf = (machine: Machine): string[] =>
  timedCrashesOf(machine).map(({ why }) => why)

/** The same with their times, in milliseconds since 1970. */
export function timedCrashesOf(machine: Machine): { at: number; why: string }[] {
  const mayEnd = isJob(configOf(machine))
  return timedExitsOf(machine)
    .filter(({ exit }) => !exit.requested_stop && !(mayEnd && isCleanExit(exit)))
    .map(({ at, exit }) => ({ at, why: exitWords(exit) }))
}

/** Whether a machine may end when its work is done: it serves nothing, and nothing checks it. */
export const isJob = ({ services, checks, restart }: MachineConfig): boolean =>
  !services?.length && Object.keys(checks ?? {}).length === 0 && restart?.policy !== 'always'

/** Whether Fly starts the machine at its own times (`schedule`). */
export const isScheduled = ({ schedule }: MachineConfig): boolean => Boolean(schedule)

/** Whether the machine's job has ended with exit code 0, by itself. */
export function hasFinished(machine: Machine): boolean {
  const [exit] = exitsOf(machine)
  return (
    machine.state === 'stopped' &&
    isJob(configOf(machine)) &&
    exit !== undefined &&
    !exit.requested_stop &&
    isCleanExit(exit)
  )
}

/**
 * Whether a machine that does not run, and should, went down by itself: its last exit was a crash
 * or an OOM kill, and nobody has stopped it since.
 */
export function stoppedUnasked(machine: Machine): boolean {
  const last = eventsOf(machine).find(({ type }) => ['exit', 'crash', 'stop'].includes(type))
  const [exit] = exitsOf(machine)
  return (
    machine.state === 'stopped' &&
    last !== undefined &&
    last.type !== 'stop' &&
    exit?.requested_stop !== true &&
    !isScheduled(configOf(machine)) &&
    !hasFinished(machine)
  )
}

const isCleanExit = (exit: ExitEvent): boolean =>
  !exit.oom_killed && !(exit.guest_signal && exit.guest_signal > 0) && exitCodeOf(exit) === 0

/** When the machine got its current version, in milliseconds since 1970. Null: not known. */
export const bornAt = ({ events = [] }: Machine): number | null =>
  events
    .filter(isBirth)
    .map(({ timestamp }) => timestamp)
    .toSorted((a, b) => b - a)[0] ?? null

export function exitWords(exit: ExitEvent): string {
  if (exit.oom_killed) return 'ran out of memory'
  if (exit.guest_signal && exit.guest_signal > 0) return `was killed by signal ${exit.guest_signal}`
  const code = exitCodeOf(exit)
  const meaning = code === 127 ? ' (a shell’s code for a command that was not found)' : ''
  return `ended by itself with exit code ${code}${meaning}`
}

/** Fly may omit the exit code of a clean exit. */
export const exitCodeOf = (exit: ExitEvent): number => exit.exit_code ?? exit.guest_exit_code ?? 0
