import { createHash, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { networkKey } from './network/networks.ts'
import { durationMs } from './duration.ts'
import { FlyError } from './fly-error.ts'
import type { Flyd } from './flyd.ts'
import { expectOrg, foreignOrg, org_slug } from './org-pages.ts'
import { regions } from './regions.ts'
import { parse, type Routes } from './routes.ts'
import type { App, FlyState, IpAssignment, Secret } from './state.ts'
import { removeVolume } from './volumes-api.ts'

/** Apps with their addresses, tokens and secrets, and Fly's facts about itself. */
export function appRoutes(routes: Routes, { state, flyd }: { state: FlyState; flyd: Flyd }): void {
  routes.on('get', '/apps', ({ query }) => {
    const org = query.get('org_slug')
    if (!org) throw new FlyError(400, 'invalid_argument: org_slug is required')
    expectOrg(state, org)
    const apps = [...state.apps.values()]
      .filter((app) => app.org_slug === org)
      .map((app) => showApp(state, app))
    return { total_apps: apps.length, apps }
  })
  routes.on('post', '/apps', ({ body }) => {
    const request = parse(NewApp, body)
    const name = request.name ?? request.app_name ?? ''
    if (!/^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$/.test(name))
      throw new FlyError(
        422,
        'Validation failed: Name may only contain lower-case letters, numbers and dashes',
      )
    if (request.network && !/^[a-z][a-z0-9-]*$/i.test(request.network))
      throw new FlyError(
        422,
        'Validation failed: Network may only contain letters, numbers and dashes, and begins with a letter',
      )
    if (state.apps.has(name))
      throw new FlyError(422, 'Validation failed: Name has already been taken', 'name_taken')
    const app: App = {
      id: randomBytes(8).toString('hex'),
      name,
      org_slug: request.org_slug,
      network: request.network || 'default',
      internal_numeric_id: state.apps.size + 1,
      created_at: Date.now(),
      ips: [],
      hostnames: [],
      secrets: {},
      secretsVersion: 0,
      releases: [],
    }
    state.apps.set(name, app)
    state.save()
    return { ...showApp(state, app), created_at: app.created_at }
  })
  routes.on('get', '/apps/:app', ({ app }) => showApp(state, app))
  routes.on('delete', '/apps/:app', ({ app }) => {
    for (const machine of state.machinesOf(app.name)) flyd.destroy(machine, true)
    // An app of the same name has none of its machines, also while they end.
    for (const { own } of state.machines.values())
      if (own.app === app.name) own.app = `${app.name}+${app.id}`
    for (const volume of state.volumesOf(app.name)) removeVolume(state, volume)
    state.apps.delete(app.name)
    for (const [known, scope] of state.deployTokens)
      if (scope.app === app.name) state.deployTokens.delete(known)
    state.save()
  })
  routes.on('post', '/apps/:app/deploy_token', ({ app, body, hasBody }) => {
    if (!hasBody) throw new FlyError(400, 'EOF')
    const { expiry } = parse(z.object({ expiry: z.string().optional() }), body)
    const made = `FlyV1 fm2_${randomBytes(24).toString('base64url')}`
    state.deployTokens.set(made, { app: app.name, until: Date.now() + durationMs(expiry, tokenMs) })
    state.save()
    return { token: made }
  })

  routes.on('get', '/apps/:app/ip_assignments', ({ app }) => ({ ips: app.ips.map(showIp) }))
  routes.on('post', '/apps/:app/ip_assignments', ({ app, body }) =>
    showIp(addIp(state, app, parse(NewIp, body))),
  )
  routes.on('delete', '/apps/:app/ip_assignments/:ip', ({ app, params }) => {
    if (!app.ips.some(({ ip }) => ip === params['ip']))
      throw new FlyError(404, 'not_found: ip assignment not found')
    app.ips = app.ips.filter(({ ip }) => ip !== params['ip'])
    state.save()
  })

  routes.on('get', '/apps/:app/secrets', ({ app, query }) => {
    atLeast(app, query.get('min_version'))
    const secrets = Object.values(app.secrets).map((secret) => showSecret(secret, query))
    return { secrets }
  })
  routes.on('post', '/apps/:app/secrets', ({ app, body }) => {
    const { values } = parse(
      z.object({ values: z.record(SecretName, z.string().nullable()) }),
      body,
    )
    const secrets = Object.entries(values).flatMap(
      ([name, value]) => writeSecret(app, name, value) ?? [],
    )
    const version = newSecretsVersion(state, app)
    return { secrets: secrets.map((secret) => showSecret(secret)), version }
  })
  routes.on('get', '/apps/:app/secrets/:name', ({ app, params, query }) => {
    atLeast(app, query.get('min_version'))
    return showSecret(findSecret(app, params['name']!), query)
  })
  routes.on('post', '/apps/:app/secrets/:name', ({ app, params, body }) => {
    const name = parse(SecretName, params['name'])
    const secret = writeSecret(app, name, parse(z.object({ value: z.string() }), body).value)!
    return { ...showSecret(secret), version: newSecretsVersion(state, app) }
  })
  routes.on('delete', '/apps/:app/secrets/:name', ({ app, params }) => {
    writeSecret(app, findSecret(app, params['name']!).name, null)
    return { version: newSecretsVersion(state, app) }
  })

  routes.on('get', '/platform/regions', () => ({ Nearest: regions[0]!.code, Regions: regions }))
  routes.on('post', '/platform/placements', ({ body }) => {
    const { region = '', count } = body as { region?: string; count?: number }
    const wanted = region.split(',').filter((code) => regions.some((known) => known.code === code))
    const found = wanted.length > 0 ? wanted : regions.map(({ code }) => code)
    return { Regions: found.map((Region) => ({ Region, Count: count || 10, Concurrency: 1 })) }
  })
  routes.on('get', '/tokens/current', ({ scope }) => {
    const own = [...state.apps.values()].filter((app) => app.org_slug !== foreignOrg)
    const apps = scope === 'org' ? own.map(({ name }) => name) : [scope.app]
    const user = scope === 'org' ? { user: 'lab@localhost' } : {}
    return { tokens: [{ token_id: 'lab', organization: 'lab', org_slug, apps, ...user }] }
  })
}

const tokenMs = 20 * 365 * 86_400_000

const NewApp = z.object({
  name: z.string().optional(),
  app_name: z.string().optional(),
  org_slug: z.string().min(1),
  network: z.string().optional(),
})
const NewIp = z.object({
  type: z.enum(['v4', 'v6', 'shared_v4', 'private_v6']),
  region: z.string().nullish(),
  network: z.string().nullish(),
  /** The organisation of that network. */
  org_slug: z.string().nullish(),
  service_name: z.string().nullish(),
})
const SecretName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/)

export function showApp(
  state: FlyState,
  { name, id, network, internal_numeric_id, org_slug: slug }: App,
) {
  const machines = state.machinesOf(name)
  const runs = machines.some(({ state }) => state === 'started')
  return {
    id,
    name,
    internal_numeric_id,
    network,
    machine_count: machines.length,
    volume_count: state.volumesOf(name).length,
    organization: { name: slug, slug, internal_numeric_id: 1 },
    status: machines.length === 0 ? 'pending' : runs ? 'deployed' : 'suspended',
    cname_target: `${name}.localhost`,
    app_role: '',
  }
}

const showIp = ({ network: _network, org_slug: _org, ...shown }: IpAssignment) => shown

/**
 * Addresses come from the ranges for documentation. A Flycast address has Fly's well-known prefix
 * and continues with the network's.
 */
export function addIp(state: FlyState, app: App, request: z.infer<typeof NewIp>): IpAssignment {
  const tail = randomBytes(2).toString('hex')
  const isPrivate = request.type === 'private_v6'
  const network = isPrivate ? request.network || 'default' : null
  const org = request.org_slug || app.org_slug
  const taken = new Set([...state.apps.values()].flatMap(({ ips }) => ips.map(({ ip }) => ip)))
  const free = Array.from({ length: 254 }, (_, index) => `192.0.2.${1 + index}`).find(
    (ip) => !taken.has(ip),
  )
  if (!free) throw new FlyError(422, 'the lab has no IPv4 address left')
  const ip = {
    v4: free,
    shared_v4: `198.51.100.${1 + (app.internal_numeric_id % 254)}`,
    v6: `2001:db8::${tail}`,
    private_v6: `fdaa:0:${sha256(networkKey(org, network)).slice(0, 4)}::${tail}`,
  }[request.type]
  const made = {
    ip,
    region: request.region ?? 'global',
    service_name: request.service_name ?? '',
    network,
    ...(isPrivate && { org_slug: org }),
    shared: request.type === 'shared_v4',
    created_at: new Date().toISOString(),
  }
  app.ips.push(made)
  state.save()
  return made
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** A null value removes the secret. */
function writeSecret(app: App, name: string, value: string | null): Secret | null {
  const before = app.secrets[name]
  delete app.secrets[name]
  if (value === null) return null
  const now = new Date().toISOString()
  const digest = sha256(value).slice(0, 16)
  return (app.secrets[name] = {
    name,
    value,
    digest,
    created_at: before?.created_at ?? now,
    updated_at: now,
  })
}

function newSecretsVersion(state: FlyState, app: App): number {
  app.secretsVersion++
  state.save()
  return app.secretsVersion
}

function findSecret(app: App, name: string): Secret {
  const secret = app.secrets[name]
  if (!secret) throw new FlyError(404, `not_found: secret not found: ${name}`)
  return secret
}

/** Refuses a caller that knows a newer version than the current one. */
export function atLeast(app: App, version: string | number | null | undefined): void {
  if (Number(version ?? 0) <= app.secretsVersion) return
  throw new FlyError(
    412,
    `failed_precondition: secrets are at version ${app.secretsVersion}, not yet at ${version}`,
  )
}

function showSecret({ value, ...secret }: Secret, query?: URLSearchParams) {
  return query?.get('show_secrets') === 'true' ? { ...secret, value } : secret
}
