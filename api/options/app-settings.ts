import { z } from 'zod'
import { isObject } from '../is-object.ts'
import { OwnersSetting } from './owners-setting.ts'
import { DeploymentOptions, lanePolicies } from '../options.ts'
import { Problem } from '../problem.ts'
import { refuseUnusable, variables } from './variables.ts'

const { region, platform, strategy, dockerfile, target } = DeploymentOptions.shape
const seconds = z.int().min(1).max(86_400)

/**
 * Settings that an app may have. From `region` on, they are defaults for options of deployments.
 */
export const AppSettings = z.strictObject({
  /** How a new deployment and the others of its lane affect each other. */
  lane: z.enum(lanePolicies),
  /** Maximum number of deployments that run at once before their deploy step, over all owners. */
  builds: z.int().min(1).max(1000),
  /** Where the machines of new owners are. An owner that has a deployment stays where it is. */
  owners: OwnersSetting,
  /** Source retention, newest first: maximum count, total size in MiB and age in days. */
  keepSources: z.int().min(0).max(1000),
  keepSourcesMib: z.int().min(0).max(1e9),
  keepSourcesDays: z.int().min(0).max(36_500),
  /** Time limits in seconds, up to 24 h: per step, and in total. */
  fetchSeconds: seconds,
  planSeconds: seconds,
  buildSeconds: seconds,
  deploySeconds: seconds,
  totalSeconds: seconds,
  region: region.unwrap().unwrap(),
  platform: platform.unwrap().unwrap(),
  strategy: strategy.unwrap().unwrap(),
  dockerfile: dockerfile.unwrap().unwrap(),
  target: target.unwrap().unwrap(),
  /** Defaults for a deployment's variables, name by name. */
  env: variables,
  build: variables,
})
export type AppSettings = z.infer<typeof AppSettings>
/** The settings that the app has set. The gateway's defaults apply to the rest. */
export const OwnSettings = AppSettings.partial()
export type OwnSettings = z.infer<typeof OwnSettings>

/** How each setting is written: one of these words, a whole number, or a text. Not the variables. */
export const settingKinds: Record<string, readonly string[] | 'number' | 'text'> =
  Object.fromEntries(
    Object.entries(AppSettings.shape)
      .filter(([, kind]) => kind !== variables)
      .map(([name, kind]) => [
        name,
        kind instanceof z.ZodEnum ? kind.options : kind instanceof z.ZodNumber ? 'number' : 'text',
      ]),
  )

/**
 * Applies a `PATCH` to the settings. Null removes a setting, or one variable of `env` and `build`.
 */
export function patchSettings(own: OwnSettings, patch: unknown): OwnSettings {
  if (!isObject(patch))
    throw new Problem(
      'request-invalid',
      'The body is not a JSON object. Send settings by name; null removes a setting.',
    )

  const known = Object.keys(AppSettings.shape)
  const unknown = Object.keys(patch).find((name) => !known.includes(name))
  if (unknown !== undefined)
    throw new Problem('option-unknown', `There is no setting ${unknown.slice(0, 50)}.`, {
      facts: { known },
    })

  for (const [name, value] of Object.entries(patch)) refuseUnusable(name, value)

  const merged: Record<string, unknown> = merge(own, patch)
  for (const [name, value] of Object.entries(merged)) refuseUnusable(name, value)
  const parsed = OwnSettings.safeParse(merged)
  if (parsed.success) return parsed.data

  const { path, message } = parsed.error.issues[0]!
  const option = path.join('.')
  throw new Problem('option-invalid', `The setting ${option} is invalid: ${message}.`, {
    facts: { option },
  })
}

/** Every setting with its value and its origin: `app`, `gateway` or `default`. */
export function describeSettings(own: OwnSettings, gateway: OwnSettings) {
  const fallback: OwnSettings = { lane: 'latest', env: {}, build: {} }
  return Object.fromEntries(
    AppSettings.keyof().options.map((name) => {
      const from = name in own ? 'app' : name in gateway ? 'gateway' : 'default'
      return [name, { value: own[name] ?? gateway[name] ?? fallback[name] ?? null, from }]
    }),
  )
}

/** Fills options that the request does not give from the app's settings. */
export function withDefaults(options: DeploymentOptions, own: OwnSettings): DeploymentOptions {
  const { region = null, platform = null, strategy = null, dockerfile = null, target = null } = own
  return {
    ...options,
    lane: options.lane ?? own.lane ?? 'latest',
    region: options.region ?? region,
    platform: options.platform ?? platform,
    strategy: options.strategy ?? strategy,
    dockerfile: options.dockerfile ?? (options.plan === null ? dockerfile : null),
    target: options.target ?? (options.plan === null ? target : null),
    env: { ...own.env, ...options.env },
    build: { ...own.build, ...options.build },
  }
}

/** Merges as in RFC 7396. */
function merge(own: object, patch: object): Record<string, unknown> {
  const merged = new Map<string, unknown>(Object.entries(own))
  for (const [name, value] of Object.entries(patch) as [string, unknown][])
    if (value === null) merged.delete(name)
    else if (isObject(value)) merged.set(name, merge(Object(merged.get(name)), value))
    else merged.set(name, value)
  // A key named __proto__ stays a key, so the check for names refuses it.
  return Object.fromEntries(merged)
}
