import { join } from 'node:path'
import { itemsOf } from './settings/kinds.ts'
import { machineSize, parallelismOf } from './settings/machine-size.ts'
import { type Env, nameAt, textsOf, unknownSettings } from './settings/setting.ts'
import { settings } from './settings/settings.ts'

export type Config = ReturnType<typeof readConfig>

/**
 * Checks the environment once and returns it as a frozen object, grouped by the parts that use it.
 * What is `auto` follows the machine's size. Throws one `ConfigError` with all complaints.
 */
export function readConfig(env: Env, size = machineSize()) {
  const parsed = settings.safeParse(textsOf(settings, env))
  const complaints =
    parsed.error?.issues.map(({ path, message }) => `${nameAt(settings, path)}: ${message}`) ?? []
  complaints.push(...unknownSettings(settings, env))

  const host = env['TARMAC_HOST'] ?? '127.0.0.1'
  const hasTokens = itemsOf(env['TARMAC_TOKENS'] ?? '').length > 0
  const hasRules = (parsed.data?.oidcRules ?? []).length > 0
  if (!hasTokens && !hasRules && !['127.0.0.1', '::1', 'localhost'].includes(host))
    complaints.push(
      `TARMAC_TOKENS: must be set to listen on ${host}; without tokens only loopback (127.0.0.1) is served${env['TARMAC_TOKEN'] ? '. TARMAC_TOKEN, which is set, is read by the client alone' : ''}`,
    )

  const { key, oldKeys = [] } = parsed.data?.secrets ?? {}
  if (key === null && oldKeys.length > 0)
    complaints.push('TARMAC_SECRETS_OLD_KEYS: needs TARMAC_SECRETS_KEY, the key that replaces them')
  if (!parsed.success || complaints.length > 0) throw new ConfigError(complaints)

  const { buildkit, data, daemon, deployer, fly, limits, appTimes, machine, mirror } = parsed.data
  const atOnce = parallelismOf(size)
  const builds = limits.builds ?? atOnce
  return Object.freeze({
    ...parsed.data,
    buildkit: { ...buildkit, root: buildkit.root || join(data, 'buildkit') },
    daemon: { ...daemon, steps: daemon.steps ?? atOnce },
    fly: { ...fly, region: fly.region || machine.region || 'iad' },
    deployer: { ...deployer, builder: machine.id || null },
    mirror: { ...mirror, origin: mirror.url === 'auto' ? flyMirror : mirror.url },
    limits: {
      ...limits,
      builds,
      appBuilds: limits.appBuilds ?? builds,
      fetchMs: appTimes.fetchSeconds * 1000,
      planMs: appTimes.planSeconds * 1000,
      buildMs: appTimes.buildSeconds * 1000,
      deployMs: appTimes.deploySeconds * 1000,
      totalMs: appTimes.totalSeconds * 1000,
    },
    size,
    /** The names of the settings that the environment gives. */
    given: Object.keys(env).filter((name) => name.startsWith('TARMAC_') && env[name] !== undefined),
  })
}

/** The mirror of the registry on the host of each machine of Fly. Source: fly.md 5.6. */
const flyMirror = 'http://_api.internal:5000'

/** Lists what is wrong with the environment, one complaint per line. */
export class ConfigError extends Error {
  constructor(complaints: string[]) {
    super(
      `The settings cannot be used:\n${complaints.map((complaint) => `  ${complaint}`).join('\n')}`,
    )
    this.name = 'ConfigError'
  }
}
