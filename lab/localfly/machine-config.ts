import { z } from 'zod'

const Duration = z.union([z.string(), z.number()])
const Words = z.array(z.string()).nullish()

const Check = z.looseObject({
  type: z.string().optional(),
  port: z.number().optional(),
  interval: Duration.optional(),
  timeout: Duration.optional(),
  grace_period: Duration.optional(),
  method: z.string().optional(),
  path: z.string().optional(),
  headers: z.array(z.object({ name: z.string(), values: z.array(z.string()) })).nullish(),
})
export type Check = z.infer<typeof Check>

const Service = z.looseObject({
  internal_port: z.number(),
  ports: z.array(z.looseObject({ handlers: Words })).nullish(),
  checks: z.array(Check).nullish(),
  concurrency: z.looseObject({ soft_limit: z.number().optional(), hard_limit: z.number().optional() }).nullish(),
  autostart: z.boolean().nullish(),
  autostop: z.union([z.boolean(), z.string()]).nullish(),
  min_machines_running: z.number().nullish(),
})

/** A machine's config: the fields that localfly acts on; all others are kept as they came. */
export const MachineConfig = z.looseObject({
  image: z.string().min(1),
  env: z.record(z.string(), z.string()).nullish(),
  init: z.looseObject({ exec: Words, entrypoint: Words, cmd: Words }).nullish(),
  guest: z.looseObject({ cpus: z.number().optional(), memory_mb: z.number().optional() }).nullish(),
  services: z.array(Service).nullish(),
  checks: z.record(z.string(), Check).nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  restart: z.looseObject({ policy: z.string().optional(), max_retries: z.number().optional() }).nullish(),
  stop_config: z.looseObject({ signal: z.string().optional(), timeout: Duration.optional() }).nullish(),
  auto_destroy: z.boolean().optional(),
})
export type MachineConfig = z.infer<typeof MachineConfig>

/** The body of a create or an update. */
export const Launch = z.looseObject({
  name: z.string().optional(),
  region: z.string().optional(),
  config: MachineConfig,
  skip_launch: z.boolean().optional(),
  skip_service_registration: z.boolean().optional(),
  lease_ttl: z.number().optional(),
  current_version: z.string().optional(),
})
export type Launch = z.infer<typeof Launch>

/** Fly fills in the smallest guest; an `init` is always there. */
export function withDefaults(config: MachineConfig): MachineConfig {
  const guest = { cpu_kind: 'shared', cpus: 1, memory_mb: 256, ...config.guest }
  return { ...config, init: config.init ?? {}, guest }
}
