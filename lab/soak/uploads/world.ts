import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildNetworkSettings, resolvers } from '../../parts/build-network.ts'
import { startBuildkitd } from '../../parts/buildkitd.ts'
import { freePort } from '../../parts/ports.ts'
import { findPlanner } from '../../planner/find.ts'
import { gatewayMain, GatewayProcess, operatorToken } from '../previews/gateway-process.ts'

export const authorization = { Authorization: `Bearer ${operatorToken}` }

export type World = Awaited<ReturnType<typeof startWorld>>
type Options = {
  /** The first of the ports that may be free. With it there is a real build daemon. */
  daemonPort?: number
  settings?: Record<string, string>
}

/**
 * A real gateway that starts again whenever it is killed. Without a build daemon it takes no archive
 * in the body of a deployment: resumable uploads and records need none, and what it accepts waits in
 * its queue.
 */
export async function startWorld({ daemonPort, settings = {} }: Options = {}) {
  await using opening = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-uploads-soak-'))
  opening.defer(() => rm(dir, { recursive: true, force: true }))
  const data = join(dir, 'data')
  await mkdir(data)
  const daemon = daemonPort === undefined ? noDaemon(dir) : await startDaemon()
  const all = { ...settingsOf(dir, data), ...daemon, ...settings }
  let gateway = opening.use(await GatewayProcess.start(all))
  if (daemonPort !== undefined) await untilReady()
  const open = opening.move()

  async function startDaemon(): Promise<Record<string, string>> {
    const registryPort = await freePort(daemonPort!)
    const buildkitd = opening.use(await startBuildkitd({ dir, registryPort }))
    return {
      TARMAC_BUILDKIT: buildkitd.address,
      TARMAC_BUILD_ROOT: join(dir, 'buildkit'),
      TARMAC_BUILD_BRIDGE: buildkitd.bridge.name,
      ...(await buildNetworkSettings(await resolvers())),
      TARMAC_RAILPACK: (await findPlanner()).path,
    }
  }

  async function untilReady(): Promise<void> {
    while ((await gateway.call('GET', '/readyz')).status !== 200) await sleep(100)
  }

  return {
    data,
    get gateway() {
      return gateway
    },
    /** Runs a command of `tarmac-gateway` on its volume. */
    run: (...words: string[]) => runGateway(all, words),
    /** Stops the gateway for good, does something with its volume, and starts it again. */
    async startAgain(meanwhile: () => Promise<void>): Promise<void> {
      await gateway[Symbol.asyncDispose]()
      await meanwhile()
      gateway = open.use(await GatewayProcess.start(all))
    },
    /** What is on the volume of an upload: its recorded offset. */
    async recordedOffset(id: string): Promise<number> {
      const record = await readFile(join(data, 'uploads', id, 'offset'), 'utf8')
      return Number(record.split(' ', 1)[0])
    },
    uploads: () => readdir(join(data, 'uploads')),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

function runGateway(
  env: Record<string, string | undefined>,
  words: string[],
): Promise<{ code: number; out: string }> {
  return new Promise((resolve) =>
    execFile(process.execPath, [gatewayMain, ...words], { env }, (error, out, err) =>
      resolve({ code: Number(error?.code ?? 0), out: out + err }),
    ),
  )
}

const settingsOf = (dir: string, data: string) => ({
  PATH: process.env['PATH'],
  NODE_COMPILE_CACHE: join(tmpdir(), 'tarmac-soak-compiled'),
  TARMAC_DATA: data,
  TARMAC_TOKENS: operatorToken,
  TARMAC_SECRETS_KEY: '11'.repeat(32),
  TARMAC_CONTEXT_PORT: '0',
  TARMAC_PLAN_NETWORK: 'none',
  TARMAC_ALLOW_OLD: 'runc',
  TARMAC_FLY_API: 'http://127.0.0.1:9',
  TARMAC_FLY_WEB_API: 'http://127.0.0.1:9',
  TARMAC_FLY_TOKEN: 'secret',
  TARMAC_REGISTRY: '127.0.0.1:9',
  TARMAC_DRAIN: '0',
  TARMAC_DISK_SOFT: '0',
  TARMAC_DISK_HIGH: '4%',
  TARMAC_DISK_LOW: '2%',
  TARMAC_CALLER_UPLOADS: '100000',
  TARMAC_UPLOADS_SPACE: '100%',
  // Sources go when their deployments have ended, so that what is left is left over.
  TARMAC_KEEP_SOURCES: '0',
  TARMAC_CRASH_FILE: join(dir, 'crash-orders'),
})

const noDaemon = (dir: string) => ({
  TARMAC_BUILDKIT: `unix://${dir}/none`,
  TARMAC_BUILD_BRIDGE: '',
})
