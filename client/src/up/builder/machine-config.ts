import type { Guest, MachineConfig, MachineService, Mount } from '#fly/machine.ts'

/** The mark of the machines that `up` makes, in their metadata. */
export const roleKey = 'tarmac_role'
export const builderRole = 'builder'
export const imageRole = 'image-build'
/** A short digest of Fly's token, so that a new token is noticed: Fly never shows a secret. */
export const tokenKey = 'tarmac_fly_token'

/** The gateway's setting that names a copy of the records to go back to, after a failed upgrade. */
export const goBackSetting = 'TARMAC_GO_BACK_TO'

export const flycastPort = 80
const defaultPort = 8080
/** A growing volume stops here, in GB. Fly's own limit is 500. */
const growsToGb = 200

/** What the machine of a builder should be. Null: as it is, or the default for a new one. */
export type Wanted = {
  org: string
  image: string | null
  guest: Guest | null
  /** Settings of the gateway. An empty value removes one. */
  env: Record<string, string>
  alwaysOn: boolean | null
  /** See `tokenKey`. */
  tokenMark: string
}

/** The port where the gateway listens. */
export const portIn = ({ env }: MachineConfig): number =>
  Number(env?.['TARMAC_PORT'] || defaultPort)

/**
 * The config that a builder's machine should have: our settings over those that it has. Settings
 * that `up` does not know are kept.
 */
export function builderConfig(wanted: Wanted, now: MachineConfig, volume: string): MachineConfig {
  const env = envOf(wanted, now)
  const port = portIn({ env })
  const service = { ...now.services?.[0], ...serviceOn(port) }
  return {
    ...now,
    ...(wanted.image && { image: wanted.image }),
    ...(wanted.guest && { guest: wanted.guest }),
    env,
    services: [service, ...(now.services ?? []).slice(1)],
    mounts: [{ ...now.mounts?.[0], ...mountOf(volume) }],
    restart: { policy: 'on-failure', max_retries: 10 },
    stop_config: { signal: 'SIGTERM', timeout: '60s' },
    metadata: { ...now.metadata, [roleKey]: builderRole, [tokenKey]: wanted.tokenMark },
  }
}

function envOf(wanted: Wanted, now: MachineConfig): Record<string, string> {
  const { org, env, alwaysOn, image } = wanted
  // The copy is for the image that runs. After another one it would be old.
  const isReplaced = image !== null && now.image !== undefined && image !== now.image
  const old = isReplaced ? { [goBackSetting]: '' } : {}
  const all = { ...now.env, TARMAC_FLY_ORG: org, ...old, ...env }
  const kept = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''))
  if (alwaysOn) kept['TARMAC_IDLE_STOP'] = 'off'
  return kept
}

/**
 * Fly’s proxy starts the machine for a request, and never stops it: it does not see work without a
 * request. The gateway stops itself. Source: fly.md 7.1 and 7.2.
 */
const serviceOn = (port: number): MachineService => ({
  protocol: 'tcp',
  internal_port: port,
  autostart: true,
  autostop: 'off',
  ports: [{ port: flycastPort, handlers: ['http'] }],
  concurrency: { type: 'requests', soft_limit: 200 },
  checks: [
    {
      type: 'http',
      port,
      method: 'GET',
      path: '/healthz',
      // Soon after a wake: a caller waits until the first check has passed.
      interval: '5s',
      timeout: '3s',
      grace_period: '1s',
    },
  ],
})

const mountOf = (volume: string): Mount => ({
  volume,
  path: '/data',
  extend_threshold_percent: 80,
  add_size_gb: 10,
  size_gb_limit: growsToGb,
})

/** In people's words, what an update would change. Empty: nothing. */
export function changesIn(now: MachineConfig, next: MachineConfig): string[] {
  const parts: [string, unknown, unknown][] = [
    ['image', now.image, next.image],
    ['size', now.guest, next.guest],
    ['port and service', now.services?.[0], next.services?.[0]],
    ['volume settings', now.mounts?.[0], next.mounts?.[0]],
    ['restart policy', now.restart, next.restart],
    ['stop signal', now['stop_config'], next['stop_config']],
    ['Fly token', now.metadata?.[tokenKey], next.metadata?.[tokenKey]],
    ['mark', now.metadata?.[roleKey], next.metadata?.[roleKey]],
    ...envChanges(now, next),
  ]
  return parts.flatMap(([name, before, after]) => (holds(before, after) ? [] : [name]))
}

function envChanges(now: MachineConfig, next: MachineConfig): [string, unknown, unknown][] {
  const names = new Set([...Object.keys(now.env ?? {}), ...Object.keys(next.env ?? {})])
  return [...names].map((name) => [name, now.env?.[name] ?? null, next.env?.[name] ?? null])
}

/** Whether `value` has everything that `part` has. Fly adds defaults of its own. */
function holds(value: unknown, part: unknown): boolean {
  if (Array.isArray(part))
    return (
      Array.isArray(value) &&
      value.length === part.length &&
      part.every((each, at) => holds(value[at], each))
    )
  if (typeof part === 'object' && part !== null)
    return (
      typeof value === 'object' &&
      value !== null &&
      Object.entries(part).every(([key, each]) => holds(Reflect.get(value, key), each))
    )
  // Fly writes `off` as false too (fly.md 3.9).
  if (part === 'off') return value === 'off' || value === false
  return value === part || (part === undefined && value == null)
}
