import type { Express, Request, Response } from 'express'
import { addIp } from './apps-api.ts'
import { FlyError } from './fly-error.ts'
import { metricsRoutes } from './metrics/prometheus.ts'
import type { Scraper } from './metrics/scraper.ts'
import { readLog } from './machine-log.ts'
import { regions } from './regions.ts'
import { type Find, type On, releaseRoutes } from './releases-api.ts'
import { rootFields } from './root-fields.ts'
import type { App, FlyState } from './state.ts'
import { scopeOf } from './tokens.ts'
import {
  showImage,
  showIp,
  showOrg,
  showRegion,
  showRestOrg,
  showWhole,
  slugs,
} from './web-shapes.ts'

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
    organizationSlug?: string
    allow?: boolean
  }
}
type Parts = {
  state: FlyState
  token: string
  registry: string
  /** Absent: there are no metrics. */
  scraper?: Scraper
}

/**
 * Fly's interfaces for flyctl beside the Machines API: a little GraphQL, and REST for releases,
 * builds and logs.
 */
export function webRoutes(api: Express, { state, token, registry, scraper }: Parts): void {
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
        // What Fly says of metrics to a token of one app is not known.
        const isOrgs = path.endsWith('/logs') || path.startsWith('/prometheus')
        if (scope !== 'org' && isOrgs) throw new FlyError(401, 'unauthorized')
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
    organizations: () => ({ nodes: slugs(state).map((slug) => showOrg(slug, state)) }),
    organization: ({ slug }) => showOrg(slug ?? '', state),
    setAllowAllCrossNetworkReplays: ({ input }) => {
      const { organizationSlug: slug = '', allow = false } = input ?? {}
      if (allow) state.crossNetworkReplays.add(slug)
      else state.crossNetworkReplays.delete(slug)
      state.save()
      return { organization: showOrg(slug, state) }
    },
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
  if (scraper) metricsRoutes(on, { state, scraper })

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
