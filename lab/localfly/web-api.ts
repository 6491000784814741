import type { Express, Request, Response } from 'express'
import { addIp, showApp } from './apps-api.ts'
import { FlyError } from './fly-error.ts'
import { parseImage, resolveImage } from './image-ref.ts'
import { readLog } from './machine-log.ts'
import { regions } from './regions.ts'
import { org_slug } from './org-pages.ts'
import { type Find, type On, releaseNodes, releaseRoutes, showRelease } from './releases-api.ts'
import type { App, FlyState } from './state.ts'
import { scopeOf } from './tokens.ts'

type Variables = {
  appName?: string
  name?: string
  slug?: string
  imageRef?: string
  /** Of the app's releases. */
  limit?: number
  input?: {
    appId?: string
    type?: 'v4' | 'v6' | 'shared_v4' | 'private_v6'
    region?: string
    network?: string
    ip?: string
    peerIps?: string[]
  }
}
type Parts = { state: FlyState; token: string; registry: string }

/**
 * Fly's interfaces for flyctl beside the Machines API: a little GraphQL, and REST for releases,
 * builds and logs.
 */
export function webRoutes(api: Express, { state, token, registry }: Parts): void {
  const on: On = (method, path, handler) => {
    api[method](path, async (req: Request, res: Response) => {
      try {
        const scope = scopeOf(req.headers.authorization, token, state.deployTokens)
        if (!scope) throw new FlyError(401, 'Authenticate: token validation error')
        const find = (name: string | string[] | undefined): App => {
          const app = state.apps.get(String(name))
          if (scope === 'org' ? app : app?.name === scope.app) return app!
          throw new FlyError(404, 'Could not find App')
        }
        // flyctl: "not authorized to retrieve app logs (this can happen when using deploy tokens)".
        if (scope !== 'org' && path.endsWith('/logs')) throw new FlyError(401, 'unauthorized')
        res.json(await handler(req, find))
      } catch (error) {
        if (!(error instanceof FlyError)) throw error
        res.status(error.httpStatus).json({ error: error.message })
      }
    })
  }

  on('post', '/graphql', async ({ body }, find) => {
    const { query, variables } = body as { query: string; variables?: Variables }
    const data: Record<string, unknown> = {}
    try {
      for (const [alias, name] of rootFields(query)) {
        const resolve = Object.hasOwn(fields, name) ? fields[name] : undefined
        if (!resolve)
          throw new FlyError(
            200,
            `Field '${name}' doesn't exist: localfly has only what flyctl needs`,
          )
        data[alias] = await resolve(variables ?? {}, find)
      }
      return { data }
    } catch (error) {
      if (!(error instanceof FlyError)) throw error
      return { data: null, errors: [{ message: error.message }] }
    }
  })
  const fields: Record<string, (variables: Variables, find: Find) => unknown> = {
    organizations: () => ({ nodes: slugs(state).map(showOrg) }),
    organization: ({ slug }) => showOrg(slug ?? ''),
    viewer: () => ({ id: 'lab', email: 'lab@localhost', name: 'The lab' }),
    app: async ({ appName, name, imageRef, limit }, find) => {
      const app = find(appName ?? name)
      const image = imageRef === undefined ? {} : { image: await showImage(imageRef, registry) }
      return { ...showWhole(state, app, limit), ...image }
    },
    apps: () => ({
      pageInfo: { hasNextPage: false, endCursor: '' },
      nodes: [...state.apps.values()].map((app) => showWhole(state, app)),
    }),
    appNameAvailable: ({ appName, name }) => !state.apps.has(appName ?? name ?? ''),
    nearestRegion: () => showRegion(regions[0]!),
    platform: () => ({ requestRegion: regions[0]!.code, regions: regions.map(showRegion) }),
    canPerformBluegreenDeployment: () => true,
    latestImageDetails: () => {
      throw new FlyError(200, 'Unknown repository')
    },
    addOns: () => ({ nodes: [] }),
    // localfly has no peers, so those that flyctl remembers are of another Fly.
    validateWireGuardPeers: ({ input }) => ({ invalidPeerIps: input?.peerIps ?? [] }),
    allocateIpAddress: ({ input }, find) => {
      const app = find(input?.appId)
      const { type = 'v6', region = '', network = '' } = input ?? {}
      const made = addIp(state, app, { type, region: region || null, network })
      return { ipAddress: showIp(made, app), app: { sharedIpAddress: made.ip } }
    },
    releaseIpAddress: ({ input }, find) => {
      const app = find(input?.appId)
      app.ips = app.ips.filter(({ ip }) => ip !== input?.ip)
      state.save()
      return { clientMutationId: null }
    },
  }

  on('get', '/api/v1/organizations/:slug', ({ params }) => showRestOrg(String(params['slug'])))
  for (const path of ['/api/v1/builds', '/api/v1/builds/finish'])
    on('post', path, () => ({ id: 1, status: 'completed', wallclock_time_ms: 0 }))

  releaseRoutes(on, { state, registry })

  on('get', '/api/v1/apps/:app/logs', async ({ params, query }, find) => {
    const { next_token: after = '', instance, region } = query as Record<string, string>
    const { name } = find(params['app'])
    const machines = [...state.machines.values()].filter(
      ({ own, ...machine }) =>
        own.app === name &&
        (!instance || machine.id === instance) &&
        (!region || machine.region === region),
    )
    const all = (await Promise.all(machines.map((machine) => readLog(state, machine)))).flat()
    const fresh = all.filter(({ timestamp }) => timestamp > after)
    const data = fresh
      .toSorted((a, b) => a.timestamp.localeCompare(b.timestamp))
      .map((entry, index) => ({ id: String(index), attributes: { ...entry, meta: {} } }))
    return { data, meta: { next_token: data.at(-1)?.attributes.timestamp ?? (after || '0') } }
  })
}

/** The root fields of a GraphQL operation, each with its alias and its name. */
export function rootFields(query: string): [alias: string, name: string][] {
  let braces = 0
  let brackets = 0
  let root = ''
  for (const char of query.replaceAll(/"(?:\\.|[^"\\])*"|#.*$/gm, '')) {
    if (char === '{') braces++
    else if (char === '(') brackets++
    else if (char === ')') brackets--
    else if (char === '}' && --braces === 0) break
    else if (braces === 1 && brackets === 0) root += char
  }
  return [...root.matchAll(/(?:(\w+)\s*:\s*)?(\w+)/g)].map(([, alias, name]) => [
    alias ?? name!,
    name!,
  ])
}

const slugs = (state: FlyState): string[] => [
  ...new Set([org_slug, ...[...state.apps.values()].map((app) => app.org_slug)]),
]

const showOrg = (slug: string) => ({
  id: slug,
  internalNumericId: '1',
  slug,
  rawSlug: slug,
  name: slug,
  type: slug === org_slug ? 'PERSONAL' : 'SHARED',
  paidPlan: true,
  billable: true,
  viewerRole: 'admin',
  addOns: { nodes: [] },
})

const showRestOrg = (slug: string) => ({
  id: slug,
  internal_numeric_id: 1,
  slug,
  raw_slug: slug,
  name: slug,
  paid_plan: true,
  personal: slug === org_slug,
  billable: true,
  billing_status: 'CURRENT',
})

const showRegion = ({ code, name }: (typeof regions)[0]) => ({
  code,
  name,
  gatewayAvailable: true,
  deprecated: false,
})

/**
 * Everything that any query of flyctl asks of an app. A smaller query ignores the rest. Aliases are
 * beside names.
 */
function showWhole(state: FlyState, app: App, limit?: number) {
  const {
    name,
    network,
    internal_numeric_id: internalNumericId,
    status,
    cname_target,
  } = showApp(state, app)
  const releases = releaseNodes(app, limit)
  const current = app.releases[0] ? showRelease(app.releases[0]) : null
  const shared = app.ips.find((ip) => ip.shared)
  return {
    id: name,
    internalNumericId,
    name,
    network,
    hostname: cname_target,
    cnameTarget: cname_target,
    appUrl: `http://${cname_target}/`,
    deployed: status === 'deployed',
    status,
    state: 'DEPLOYED',
    version: current?.version ?? 0,
    platformVersion: 'machines',
    organization: showOrg(app.org_slug),
    postgresAppRole: null,
    config: { definition: app.releases[0]?.definition ?? null },
    currentRelease: current,
    currentReleaseUnprocessed: current,
    releases,
    releasesUnprocessed: releases,
    ipAddresses: { nodes: app.ips.filter((ip) => !ip.shared).map((ip) => showIp(ip, app)) },
    sharedIpAddress: shared?.ip ?? null,
    egressIpAddresses: { nodes: [] },
    machines: { nodes: [] },
    certificates: { nodes: [] },
    services: [],
  }
}

function showIp({ ip, region, service_name, created_at, network }: App['ips'][0], app: App) {
  const type = ip.startsWith('fdaa:') ? 'private_v6' : ip.includes(':') ? 'v6' : 'v4'
  return {
    id: `${app.id}-${ip}`,
    address: ip,
    type,
    region,
    createdAt: created_at,
    serviceName: service_name,
    network: network && { name: network, organization: { slug: app.org_slug } },
  }
}

async function showImage(ref: string, registry: string) {
  const image = await resolveImage(parseImage(ref), registry).catch(() => null)
  return (
    image && {
      id: `img_${image.digest.slice(-12)}`,
      digest: image.digest,
      ref,
      compressedSize: '0',
      manifest: {},
    }
  )
}
