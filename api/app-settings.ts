import { z } from 'zod'
import { DeploymentOptions, lanePolicies, refuseUnusable, variables } from './options.ts'
import { Problem } from './problem.ts'

const { region, platform, strategy, dockerfile, target } = DeploymentOptions.shape
const seconds = z.int().min(1).max(86_400)

/** What an app may have of its own. From `region` on they are options for deployments that do not give them. */
export const AppSettings = z.strictObject({
  /** What becomes of a new deployment, and of others of its lane. */
  lane: z.enum(lanePolicies),
  /** Deployments at work at once before their machines, over all owners. */
  builds: z.int().min(1).max(1000),
  /** Sources kept, newest first: so many, so much of them in MiB, for so many days. */
  keepSources: z.int().min(0).max(1000),
  keepSourcesMib: z.int().min(0).max(1e9),
  keepSourcesDays: z.int().min(0).max(36_500),
  /** Time limits in seconds, to 24 h: of each part of the way, and of all of it. */
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
  /** Laid under a deployment's own, variable by variable. */
  env: variables,
  build: variables,
})
export type AppSettings = z.infer<typeof AppSettings>
/** What is set; the rest is as the gateway has it. */
export type OwnSettings = Partial<AppSettings>

/** The settings after a `PATCH`: null takes one away, or one variable of `env` and `build`. */
export function patchSettings(own: OwnSettings, patch: unknown): OwnSettings {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch))
    throw new Problem(
      'request-invalid',
      'Send a JSON object: settings by name, null for one to take away.',
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
  const parsed = AppSettings.partial().safeParse(merged)
  if (parsed.success) return parsed.data as OwnSettings
  const { path, message } = parsed.error.issues[0]!
  const option = path.join('.')
  throw new Problem('option-invalid', `The setting ${option} cannot be so: ${message}.`, {
    facts: { option },
  })
}

/** Every setting with its value and where that comes from: the app's own, the gateway's, or nobody's. */
export function describeSettings(own: OwnSettings, gateway: OwnSettings) {
  const fallback: OwnSettings = { lane: 'latest', env: {}, build: {} }
  const names = Object.keys(AppSettings.shape) as (keyof AppSettings)[]
  return Object.fromEntries(
    names.map((name) => {
      const from = name in own ? 'app' : name in gateway ? 'gateway' : 'default'
      return [name, { value: own[name] ?? gateway[name] ?? fallback[name] ?? null, from }]
    }),
  )
}

/** A request's options with the app's own laid under them. */
export function withDefaults(asked: DeploymentOptions, own: OwnSettings): DeploymentOptions {
  const { region = null, platform = null, strategy = null, dockerfile = null, target = null } = own
  return {
    ...asked,
    lane: asked.lane ?? own.lane ?? 'latest',
    region: asked.region ?? region,
    platform: asked.platform ?? platform,
    strategy: asked.strategy ?? strategy,
    dockerfile: asked.dockerfile ?? (asked.plan === null ? dockerfile : null),
    target: asked.target ?? (asked.plan === null ? target : null),
    env: { ...own.env, ...asked.env },
    build: { ...own.build, ...asked.build },
  }
}

/** As in RFC 7396. */
function merge(own: object, patch: object): Record<string, unknown> {
  const merged = new Map<string, unknown>(Object.entries(own))
  for (const [name, value] of Object.entries(patch) as [string, unknown][])
    if (value === null) merged.delete(name)
    else if (typeof value === 'object' && !Array.isArray(value))
      merged.set(name, merge(Object(merged.get(name)), value))
    else merged.set(name, value)
  return Object.fromEntries(merged) // a key named __proto__ stays a key, and is refused as one
}
