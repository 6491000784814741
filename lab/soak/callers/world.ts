/**
 * A gateway process of its own for the soak of callers, with a real registry and build daemon, an
 * OIDC issuer, and a Fly whose machines are no containers.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startIssuer } from '../../issuer.ts'
import { startSmallFly } from '../../localfly/start-small.ts'
import { buildNetworkSettings, resolvers } from '../../parts/build-network.ts'
import { startBuildkitd } from '../../parts/buildkitd.ts'
import { freePort } from '../../parts/ports.ts'
import { startRegistry } from '../../parts/registry.ts'
import { findPlanner } from '../../planner/find.ts'

export const operatorToken = 'operator-of-the-callers-soak'
/** `tailscale serve` of the soak. Headers from any other address prove nothing. */
export const proxyAddress = '127.0.0.99'
const flyToken = 'fly-of-the-callers-soak'
const main = join(import.meta.dirname, '../../../gateway/src/main.ts')

export type World = Awaited<ReturnType<typeof startWorld>>

export async function startWorld(firstPort: number) {
  await using opening = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-callers-soak-'))
  opening.defer(() => rm(dir, { recursive: true, force: true }))
  const fly = opening.use(await startSmallFly(dir, { token: flyToken }))
  const registryPort = await freePort(firstPort)
  const registry = opening.use(await startRegistry({ dir, port: registryPort, images: true }))
  const buildkitd = opening.use(await startBuildkitd({ dir, registryPort }))
  const issuer = opening.use(await startIssuer())

  let running: { child: ChildProcess; ended: Promise<unknown> } | null = null
  const env = {
    PATH: process.env['PATH'],
    NODE_COMPILE_CACHE: join(tmpdir(), 'tarmac-soak-compiled'),
    TARMAC_DATA: join(dir, 'data'),
    TARMAC_HOST: '127.0.0.1',
    TARMAC_CONTEXT_PORT: '0',
    TARMAC_TOKENS: operatorToken,
    TARMAC_SECRETS_KEY: '22'.repeat(32),
    TARMAC_TRUSTED_PROXIES: `tailscale=${proxyAddress}`,
    TARMAC_BUILDKIT: buildkitd.address,
    TARMAC_BUILD_ROOT: join(dir, 'buildkit'),
    TARMAC_BUILD_BRIDGE: buildkitd.bridge.name,
    TARMAC_MIRRORS: `docker.io=${registry.address}`,
    ...(await buildNetworkSettings(await resolvers())),
    TARMAC_RAILPACK: (await findPlanner()).path,
    TARMAC_PLAN_NETWORK: 'none',
    TARMAC_ALLOW_OLD: 'runc',
    TARMAC_DISK_SOFT: '0',
    TARMAC_DISK_HIGH: '10%',
    TARMAC_DISK_LOW: '5%',
    TARMAC_FLY_API: fly.flyApi,
    TARMAC_FLY_WEB_API: fly.flyApi,
    TARMAC_FLY_TOKEN: flyToken,
    TARMAC_FLY_ORG: 'personal',
    TARMAC_FLY_REGION: 'ams',
    TARMAC_REGISTRY: registry.address,
    TARMAC_WATCH: '0.2',
    TARMAC_PROXY_PAUSE: '0',
    TARMAC_MACHINE_TIMEOUT: '20',
    TARMAC_DRAIN: '0',
    TARMAC_MAX_DEATHS: '1000000',
  }
  /** The port stays the same after a restart. */
  let port = '0'
  const start = async () => {
    const child = spawn(process.execPath, [main], {
      env: { ...env, TARMAC_PORT: port },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const ended = once(child, 'exit')
    running = { child, ended }
    let printed = ''
    const url = await new Promise<string>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (text) => {
          printed = (printed + String(text)).slice(-20_000)
          const found = /"url":"([^"]+)","msg":"gateway listens"/.exec(printed)?.[1]
          if (found) resolve(found)
        })
      ended.then(() => reject(new Error(`The gateway ended: ${printed.slice(-2000)}`)), reject)
    })
    port = new URL(url).port
  }
  const kill = async () => {
    running?.child.kill('SIGKILL')
    await running?.ended
  }
  opening.defer(kill)
  await start()
  while ((await fetch(`http://127.0.0.1:${port}/readyz`)).status !== 200) await sleep(100)
  const open = opening.move()
  return {
    dir,
    registry: registry.address,
    issuer,
    fly,
    get port() {
      return Number(port)
    },
    kill,
    start,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}
