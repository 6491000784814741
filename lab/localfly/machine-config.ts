import { z } from 'zod'

const Duration = z.union([z.string(), z.number()])
const Words = z.array(z.string()).nullish()

const Check = z.looseObject({
  type: z.string().optional(),
  port: z.number().optional(),
  interval: Duration.optional(),
  timeout: Duration.optional(),
  grace_period: Duration.optional(),
  protocol: z.string().optional(),
  method: z.string().optional(),
  path: z.string().optional(),
  headers: z.array(z.object({ name: z.string(), values: z.array(z.string()) })).nullish(),
})
export type Check = z.infer<typeof Check>

const Service = z.looseObject({
  internal_port: z.number(),
  ports: z.array(z.looseObject({ handlers: Words })).nullish(),
  checks: z.array(Check).nullish(),
  concurrency: z
    .looseObject({ soft_limit: z.number().optional(), hard_limit: z.number().optional() })
    .nullish(),
  autostart: z.boolean().nullish(),
  autostop: z.union([z.boolean(), z.string()]).nullish(),
  min_machines_running: z.number().nullish(),
})

const File = z.looseObject({
  guest_path: z.string().startsWith('/'),
  raw_value: z.string().nullish(),
  secret_name: z.string().nullish(),
  mode: z.number().nullish(),
})

/** A machine's config. Localfly acts on these fields and keeps all others unchanged. */
export const MachineConfig = z.looseObject({
  image: z.string().min(1),
  env: z.record(z.string(), z.string()).nullish(),
  init: z
    .looseObject({
      exec: Words,
      entrypoint: Words,
      cmd: Words,
      tty: z.boolean().nullish(),
      swap_size_mb: z.number().nullish(),
    })
    .nullish(),
  guest: z.looseObject({ cpus: z.number().optional(), memory_mb: z.number().optional() }).nullish(),
  services: z.array(Service).nullish(),
  checks: z.record(z.string(), Check).nullish(),
  files: z.array(File).nullish(),
  mounts: z.array(z.looseObject({ volume: z.string().optional(), path: z.string() })).nullish(),
  standbys: Words,
  dns: z.looseObject({ skip_registration: z.boolean().nullish() }).nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  restart: z
    .looseObject({ policy: z.string().optional(), max_retries: z.number().optional() })
    .nullish(),
  stop_config: z
    .looseObject({ signal: z.string().optional(), timeout: Duration.optional() })
    .nullish(),
  auto_destroy: z.boolean().optional(),
  schedule: z.string().nullish(),
})
export type MachineConfig = z.infer<typeof MachineConfig>

/** The body of a create or an update. */
export const Launch = z.looseObject({
  name: z.string().optional(),
  region: z.string().optional(),
  config: MachineConfig,
  skip_launch: z.boolean().optional(),
  skip_service_registration: z.boolean().optional(),
  skip_secrets: z.boolean().optional(),
  min_secrets_version: z.number().nullish(),
  lease_ttl: z.number().optional(),
  current_version: z.string().optional(),
})
export type Launch = z.infer<typeof Launch>

/** Null fields are absent, as in Go, the language of Fly. */
export function withoutNulls<T>(value: T): T {
  if (Array.isArray(value)) return value.map(withoutNulls) as T
  if (typeof value !== 'object' || value === null) return value
  const there = Object.entries(value).filter(([, entry]) => entry !== null)
  return Object.fromEntries(there.map(([key, entry]) => [key, withoutNulls(entry)])) as T
}

/** Adds defaults as Fly does: the smallest guest, and an `init`. */
export function withDefaults(config: MachineConfig): MachineConfig {
  const guest = { cpu_kind: 'shared', cpus: 1, memory_mb: 256, ...config.guest }
  return { ...config, init: config.init ?? {}, guest }
}
