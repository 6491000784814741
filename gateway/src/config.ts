import { join } from 'node:path'
import { list, settings } from './settings.ts'

export type Config = ReturnType<typeof readConfig>

/**
 * Checks the environment once and returns it as a frozen object, grouped by subject.
 * Throws one `ConfigError` with all complaints.
 */
export function readConfig(env: Record<string, string | undefined>) {
  const parsed = settings.safeParse(env)
  const complaints =
    parsed.error?.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`) ?? []

  const tokens = list(env['TARMAC_TOKENS'] ?? '')
  if (tokens.some((token) => token.length < 16))
    complaints.push('TARMAC_TOKENS: a token has at least 16 characters')

  const key = keyOf(env['TARMAC_SECRETS_KEY'] ?? '')
  if (key !== null && key.length !== 32)
    complaints.push('TARMAC_SECRETS_KEY: must be 32 bytes as base64 or hex')

  const host = env['TARMAC_HOST'] ?? '127.0.0.1'
  if (tokens.length === 0 && !['127.0.0.1', '::1', 'localhost'].includes(host))
    complaints.push(
      `TARMAC_TOKENS: must be set to listen on ${host}; without tokens only loopback (127.0.0.1) is served`,
    )

  if (!parsed.success || complaints.length > 0) throw new ConfigError(complaints)

  const set = parsed.data
  return Object.freeze({
    http: { host: set.TARMAC_HOST, port: set.TARMAC_PORT },
    data: set.TARMAC_DATA,
    logLevel: set.TARMAC_LOG_LEVEL,
    buildkit: {
      address: set.TARMAC_BUILDKIT,
      contextPort: set.TARMAC_CONTEXT_PORT,
      root: set.TARMAC_BUILD_ROOT || join(set.TARMAC_DATA, 'buildkit'),
    },
    /** For a build daemon that the gateway starts. */
    daemon: {
      command: set.TARMAC_BUILDKITD,
      bridge: { name: set.TARMAC_BUILD_BRIDGE || 'tarmac0', subnet: set.TARMAC_BUILD_SUBNET },
      nameservers: list(set.TARMAC_BUILD_DNS),
      mirrors: list(set.TARMAC_MIRRORS).map(
        (pair) => pair.split('=') as [registry: string, place: string],
      ),
      steps: set.TARMAC_MAX_STEPS,
      limits: {
        memory: toMark(set.TARMAC_STEP_MEMORY),
        memoryOfAll: toMark(set.TARMAC_STEPS_MEMORY),
        processes: set.TARMAC_STEP_PROCESSES,
        cpus: set.TARMAC_STEP_CPUS,
      },
    },
    disk: { low: toMark(set.TARMAC_DISK_LOW), high: toMark(set.TARMAC_DISK_HIGH) },
    buildNetwork: {
      bridge: set.TARMAC_BUILD_BRIDGE,
      dns: list(set.TARMAC_BUILD_DNS),
      allow: list(set.TARMAC_BUILD_ALLOW),
    },
    railpack: set.TARMAC_RAILPACK,
    planNetwork: set.TARMAC_PLAN_NETWORK,
    registry: set.TARMAC_REGISTRY,
    registryCache: set.TARMAC_REGISTRY_CACHE,
    dockerConfig: set.TARMAC_DOCKER_CONFIG,
    images: {
      allowed: list(set.TARMAC_IMAGES),
      frontends: list(set.TARMAC_FRONTENDS),
      own: set.TARMAC_REGISTRY,
      refreshMs: set.TARMAC_BASE_REFRESH * 3_600_000,
    },
    fly: {
      api: set.TARMAC_FLY_API,
      org: set.TARMAC_FLY_ORG,
      network: set.TARMAC_FLY_NETWORK || null,
      builder: set.FLY_MACHINE_ID || null,
      region: set.TARMAC_FLY_REGION || set.FLY_REGION || 'iad',
      url: set.TARMAC_URL,
      ownerUrl: set.TARMAC_OWNER_URL,
      publicIps: set.TARMAC_PUBLIC_IPS,
    },
    keepLogs: { perApp: set.TARMAC_KEEP_LOGS, days: set.TARMAC_KEEP_LOG_DAYS },
    keep: {
      keepSources: set.TARMAC_KEEP_SOURCES,
      keepSourcesMib: set.TARMAC_KEEP_SOURCES_MIB,
      keepSourcesDays: set.TARMAC_KEEP_SOURCES_DAYS,
    },
    /** Default time limits of an app. An app's settings may override each. */
    appTimes: {
      fetchSeconds: set.TARMAC_FETCH_TIMEOUT,
      planSeconds: set.TARMAC_PLAN_TIMEOUT,
      buildSeconds: set.TARMAC_BUILD_TIMEOUT,
      deploySeconds: set.TARMAC_DEPLOY_TIMEOUT,
      totalSeconds: set.TARMAC_TOTAL_TIMEOUT,
    },
    crashFile: set.TARMAC_CRASH_FILE,
    bootIdFile: set.TARMAC_BOOT_ID_FILE,
    limits: {
      uploadBytes: set.TARMAC_MAX_UPLOAD_MIB * 2 ** 20,
      treeBytes: set.TARMAC_MAX_TREE_MIB * 2 ** 20,
      uploadBytesPerS: set.TARMAC_MIN_UPLOAD_KIB * 1024,
      unpackMs: set.TARMAC_UNPACK_TIMEOUT * 1000,
      builds: set.TARMAC_MAX_BUILDS,
      appBuilds: set.TARMAC_APP_BUILDS,
      deploys: set.TARMAC_MAX_DEPLOYS,
      queueMs: set.TARMAC_QUEUE_TIMEOUT * 1000,
      fetchMs: set.TARMAC_FETCH_TIMEOUT * 1000,
      planMs: set.TARMAC_PLAN_TIMEOUT * 1000,
      buildMs: set.TARMAC_BUILD_TIMEOUT * 1000,
      deployMs: set.TARMAC_DEPLOY_TIMEOUT * 1000,
      totalMs: set.TARMAC_TOTAL_TIMEOUT * 1000,
      machineMs: set.TARMAC_MACHINE_TIMEOUT * 1000,
      watchMs: set.TARMAC_WATCH * 1000,
      proxyMs: set.TARMAC_PROXY_PAUSE * 1000,
      unavailableMs: set.TARMAC_AWAY_TIMEOUT * 1000,
      log: {
        stepBytes: set.TARMAC_STEP_LOG_MIB * 2 ** 20,
        allBytes: set.TARMAC_LOG_MIB * 2 ** 20,
        tailBytes: set.TARMAC_LOG_TAIL_KIB * 2 ** 10,
      },
      drainMs: set.TARMAC_DRAIN * 1000,
      deaths: set.TARMAC_MAX_DEATHS,
    },
    /** Separate, so that the rest may be logged. */
    secrets: { tokens, fly: set.TARMAC_FLY_TOKEN, key },
  })
}

const toMark = (text: string) =>
  text.endsWith('%')
    ? { share: Number(text.slice(0, -1)) / 100 }
    : { bytes: Number(text) * 2 ** 20 }

const keyOf = (text: string): Buffer | null =>
  text === '' ? null : Buffer.from(text, /^[\da-f]{64}$/i.test(text) ? 'hex' : 'base64')

/** Lists what is wrong with the environment, one complaint per line. */
export class ConfigError extends Error {
  constructor(complaints: string[]) {
    super(
      `The settings cannot be used:\n${complaints.map((complaint) => `  ${complaint}`).join('\n')}`,
    )
    this.name = 'ConfigError'
  }
}
