/**
 * Gateway processes for the soak of previews, which share one organisation on Fly. Their machines
 * are no containers. They share a real registry, and a real build daemon: nothing is built, but no
 * deployment starts without one.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { startSmallFly } from '../../localfly/start-small.ts'
import { buildNetworkSettings, resolvers } from '../../parts/build-network.ts'
import { startBuildkitd } from '../../parts/buildkitd.ts'
import { freePort } from '../../parts/ports.ts'
import { startRegistry } from '../../parts/registry.ts'
import { findPlanner } from '../../planner/find.ts'
import { GatewayProcess, operatorToken } from './gateway-process.ts'

export const flyToken = 'fly-of-the-previews-soak'
/** The apps whose previews these are, and their teams. */
export const teamOf: Record<string, string> = { shop: 'default', blog: 'default' }
/** A template that lets machines reach one port. */
export const closed = { name: 'closed', egress: ['443/tcp'], policy: 'tcp 443' }
export const limits = { owner: 3, team: 8, all: 12 }
export const sweepMs = 3000
/** The longest life of a preview. */
export const mostSeconds = 30

/** Null: it is no preview's app. */
export const previewIdIn = (app: string): string | null => /-(pv-\w{12})$/.exec(app)?.[1] ?? null

export type World = Awaited<ReturnType<typeof startWorld>>

export async function startWorld({ gateways, port }: { gateways: number; port: number }) {
  await using opening = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-previews-soak-'))
  opening.defer(() => rm(dir, { recursive: true, force: true }))
  const fly = opening.use(await startSmallFly(dir, { token: flyToken }))
  const registryPort = await freePort(port)
  const registry = opening.use(await startRegistry({ dir, port: registryPort, images: true }))
  const buildkitd = opening.use(await startBuildkitd({ dir, registryPort: await freePort(port) }))
  const shared = {
    TARMAC_BUILDKIT: buildkitd.address,
    TARMAC_BUILD_ROOT: join(dir, 'buildkit'),
    TARMAC_BUILD_BRIDGE: buildkitd.bridge.name,
    ...(await buildNetworkSettings(await resolvers())),
    TARMAC_RAILPACK: (await findPlanner()).path,
    TARMAC_REGISTRY: registry.address,
    TARMAC_FLY_API: fly.flyApi,
    TARMAC_FLY_WEB_API: fly.flyApi,
  }
  const started = await Promise.all(
    Array.from({ length: gateways }, async (_, at) => {
      const home = join(dir, `gateway-${at}`)
      const crashFile = join(dir, `crash-${at}`)
      return opening.use(
        await GatewayProcess.start({ ...shared, ...settingsOf({ home, crashFile, at }) }),
      )
    }),
  )
  for (const gateway of started) {
    while ((await gateway.call('GET', '/readyz')).status !== 200) await sleep(100)
    const scopes = ['read', 'preview', 'deploy']
    const { body } = await gateway.call('POST', '/v1/tokens', { name: 'soak', scopes })
    gateway.maker = z.object({ token: z.string() }).parse(body).token
    const template = { config: '[http_service]\ninternal_port = 8080\n', egress: closed.egress }
    for (const app of Object.keys(teamOf))
      await gateway.call('PUT', `/v1/apps/${app}/templates/${closed.name}`, template)
  }
  const open = opening.move()
  return {
    dir,
    fly,
    registry: registry.address,
    gateways: started,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

const settingsOf = (own: { home: string; crashFile: string; at: number }) => ({
  PATH: process.env['PATH'],
  NODE_COMPILE_CACHE: join(tmpdir(), 'tarmac-soak-compiled'),
  TARMAC_DATA: own.home,
  TARMAC_HOST: '127.0.0.1',
  TARMAC_PORT: '0',
  TARMAC_CONTEXT_PORT: '0',
  TARMAC_TOKENS: operatorToken,
  TARMAC_SECRETS_KEY: `${10 + own.at}`.repeat(32),
  TARMAC_CRASH_FILE: own.crashFile,
  TARMAC_PLAN_NETWORK: 'none',
  TARMAC_ALLOW_OLD: 'runc',
  TARMAC_DISK_SOFT: '0',
  TARMAC_DISK_HIGH: '10%',
  TARMAC_DISK_LOW: '5%',
  TARMAC_FLY_TOKEN: flyToken,
  TARMAC_FLY_ORG: 'personal',
  TARMAC_FLY_REGION: 'ams',
  TARMAC_PROXY_PAUSE: '0',
  TARMAC_MACHINE_TIMEOUT: '20',
  TARMAC_PREVIEW_TIMEOUT: '8',
  TARMAC_PREVIEW_MINUTES: `${mostSeconds / 60}`,
  TARMAC_PREVIEW_SWEEP: `${sweepMs / 60_000}`,
  TARMAC_PREVIEWS_PER_OWNER: `${limits.owner}`,
  TARMAC_QUOTA_PREVIEWS: `${limits.team}`,
  TARMAC_MAX_PREVIEWS: `${limits.all}`,
})
