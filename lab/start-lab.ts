/** The whole lab: registry, buildkitd, localfly and a gateway, in one folder and on ports of its own. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { startLocalfly } from './localfly/start.ts'
import { startBuildkitd } from './parts/buildkitd.ts'
import { startGatewayProcess } from './parts/gateway.ts'
import { claimFolder } from './parts/process.ts'
import { freePort, isFree } from './parts/ports.ts'
import { startRegistry } from './parts/registry.ts'
import { findPlanner } from './planner/find.ts'
import { labName, sweep } from './sweep.ts'

export interface LabOptions {
  dir: string
  /** The gateway's; the other parts take free ones above it. */
  port: number
  /** Settings of the gateway beside those that the lab gives it. */
  settings?: Record<string, string>
  /** Told of each part when it is there. */
  say?: (line: string) => void
}

export type Lab = Awaited<ReturnType<typeof startLab>>

/** Sweeps what an earlier lab left in the folder, starts every part, and writes `lab.json` with their addresses. */
export async function startLab({ port, settings = {}, say = () => {}, ...options }: LabOptions) {
  const dir = resolve(options.dir)
  await mkdir(dir, { recursive: true })
  await using opening = new AsyncDisposableStack()
  opening.use(claimFolder(dir))
  await sweep(dir)
  if (!(await isFree(port))) throw new Error(`Port ${port} is taken: choose another, with --port.`)
  const planner = await findPlanner()

  const registryPort = await freePort(port + 1)
  const registry = opening.use(await startRegistry({ dir, port: registryPort, images: true }))
  say(`registry   ${registry.address}, with stand-in base images`)

  const frontPort = await freePort(registryPort + 1)
  const buildkitd = opening.use(await startBuildkitd({ dir, registryPort, plainHttpPorts: [frontPort] }))
  say(`buildkitd  ${buildkitd.address}, builds on ${buildkitd.bridge.name} (${buildkitd.bridge.subnet})`)

  const apiPort = await freePort(frontPort + 1)
  const proxyPort = await freePort(apiPort + 1)
  const flyToken = secret()
  const localfly = opening.use(
    await startLocalfly({
      dir,
      name: labName(dir),
      apiPort,
      proxyPort,
      registryFrontPort: frontPort,
      registry: registry.address,
      token: flyToken,
    }),
  )
  say(`localfly   ${localfly.flyApi}, apps at http://<app>.localhost:${proxyPort}/`)

  const token = secret()
  const contextPort = await freePort(proxyPort + 1)
  const gatewaySettings = {
    TARMAC_TOKENS: token,
    TARMAC_BUILDKIT: buildkitd.address,
    TARMAC_CONTEXT_PORT: String(contextPort),
    TARMAC_RAILPACK: planner.path,
    TARMAC_REGISTRY: localfly.registry,
    TARMAC_FLY_API: localfly.flyApi,
    TARMAC_FLY_TOKEN: flyToken,
    TARMAC_FLY_ORG: 'personal',
    TARMAC_FLY_REGION: 'ams',
    TARMAC_URL: `http://{app}.localhost:${proxyPort}/`,
    TARMAC_LOG_LEVEL: 'info',
    TARMAC_DRAIN: '5',
    TARMAC_SECRETS_KEY: createHash('sha256').update(dir).digest('hex'), // the same at the next start
    ...settings,
  }
  const startGateway = () => startGatewayProcess({ dir, port, settings: gatewaySettings })
  let gatewayProcess = await startGateway()
  opening.defer(() => gatewayProcess[Symbol.asyncDispose]())
  say(`gateway    http://127.0.0.1:${port}, planner: ${planner.version}${planner.standIn ? ' (a stand-in)' : ''}`)

  const addresses = {
    gateway: `http://127.0.0.1:${port}`,
    token,
    flyApi: localfly.flyApi,
    flyToken,
    registry: localfly.registry,
    buildkit: buildkitd.address,
    apps: localfly.apps,
  }
  const file = join(dir, 'lab.json')
  await writeFile(file, `${JSON.stringify(addresses, null, 2)}\n`, { mode: 0o600 })
  opening.defer(() => rm(file, { force: true }))
  const open = opening.move()
  return {
    ...addresses,
    dir,
    planner,
    bridge: buildkitd.bridge,
    get gatewayProcess() {
      return gatewayProcess
    },
    /** Starts the gateway again, after it was killed. */
    async startGateway() {
      await gatewayProcess[Symbol.asyncDispose]()
      gatewayProcess = await startGateway()
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

function secret(): string {
  return randomBytes(24).toString('base64url')
}
