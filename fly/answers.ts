import { z } from 'zod'
import { isMachine, type Machine } from './machine.ts'

// What the gateway reads of Fly's answers. Fly may send more.

/** `id` tells an app from a later app of the same name. */
export const App = z.object({
  id: z.string().nullish(),
  name: z.string(),
  network: z.string().nullish(),
  organization: z.object({ slug: z.string().nullish() }).nullish(),
  machine_count: z.number().nullish(),
})
export type App = z.infer<typeof App>

const IpAssignment = z.object({ ip: z.string(), created_at: z.string().nullish() })
export type IpAssignment = z.infer<typeof IpAssignment>
export const IpAssignments = z.object({ ips: z.array(IpAssignment).nullish() })
export const NewIpAssignment = IpAssignment.partial().nullish()

export const Volume = z.object({
  id: z.string(),
  name: z.string(),
  region: z.string(),
  state: z.string().nullish(),
  attached_machine_id: z.string().nullish(),
  size_gb: z.number().nullish(),
  created_at: z.string().nullish(),
})
export type Volume = z.infer<typeof Volume>
export const Volumes = z.array(Volume).nullable()

/** Source: fly.md's OpenAPI, `ListAppsResponse`. */
export const OrgApps = z.object({ apps: z.array(z.object({ name: z.string() })).nullish() })

/** Source: fly.md's OpenAPI, `OrgMachine`. */
export const OrgMachine = z.object({
  id: z.string(),
  app_name: z.string(),
  name: z.string().nullish(),
  private_ip: z.string().nullish(),
  state: z.string(),
  region: z.string().nullish(),
  updated_at: z.string().nullish(),
  /** `MachineOverviewConfig` there. */
  config: z
    .object({
      image: z.string().nullish(),
      guest: z.record(z.string(), z.unknown()).nullish(),
      metadata: z.record(z.string(), z.string()).nullish(),
    })
    .nullish(),
})
export type OrgMachine = z.infer<typeof OrgMachine>
export const OrgMachines = z.object({
  machines: z.array(OrgMachine).nullish(),
  next_cursor: z.string().nullish(),
})

/** Field names as on the wire: fly-go's `flaps_platform.go`. */
export const Regions = z.object({ Regions: z.array(z.object({ code: z.string() })) })

/** Source: `AppSecret` in fly.md's OpenAPI. Times are ISO 8601. */
const FlySecret = z.object({
  name: z.string(),
  digest: z.string(),
  created_at: z.string().nullish(),
  updated_at: z.string().nullish(),
})
export type FlySecret = z.infer<typeof FlySecret>
export const Secrets = z.object({ secrets: z.array(FlySecret).nullish() })
export const ChangedSecrets = Secrets.extend({ version: z.number() })
export type ChangedSecrets = z.infer<typeof ChangedSecrets>

const ListenSocket = z.object({ proto: z.string().nullish(), address: z.string().nullish() })
const Process = z.object({
  command: z.string().nullish(),
  listen_sockets: z.array(ListenSocket).nullish(),
})
export const Processes = z.array(Process).nullable()
export type Process = z.infer<typeof Process>

/** What a command in a machine did. Fly may leave out what is 0 or empty. */
export const ExecResult = z.object({
  exit_code: z.number().nullish(),
  exit_signal: z.number().nullish(),
  stdout: z.string().nullish(),
  stderr: z.string().nullish(),
})
export type ExecResult = z.infer<typeof ExecResult>

/** A line of a machine's log. `at`: milliseconds since 1970; null if Fly does not say. */
export type LogLine = { at: number | null; text: string }
const logEntry = z.object({ message: z.string().nullish(), timestamp: z.string().nullish() })

/** Reads the lines of a log answer (NDJSON). Throws if a line is not JSON. */
export const logLines = (answer: string): LogLine[] =>
  answer
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const { message, timestamp } = logEntry.parse(JSON.parse(line))
      const at = Date.parse(timestamp ?? '')
      return { at: Number.isNaN(at) ? null : at, text: message ?? '' }
    })

export const machineAnswer = z.custom<Machine>(isMachine, 'no machine')

export const Lease = z.object({
  nonce: z.string().nullish(),
  data: z.object({ nonce: z.string().nullish() }).nullish(),
})

export type Lease = z.infer<typeof Lease>

/** An answer of which only the status matters. */
export const ignored = z.unknown()
