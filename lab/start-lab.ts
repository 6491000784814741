/**
 * The whole lab in one folder and on its own ports: registry, buildkitd, localfly and a gateway.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { startLocalfly } from './localfly/start.ts'
import { buildNetworkSettings, resolvers } from './parts/build-network.ts'
import { startBuildkitd } from './parts/buildkitd.ts'
import { startGatewayProcess } from './parts/gateway.ts'
import { claimFolder, killRecorded } from './parts/process.ts'
import { freePort, isFree } from './parts/ports.ts'
import { upInLab } from './parts/up-in-lab.ts'
import { startRegistry } from './parts/registry.ts'
import { findPlanner } from './planner/find.ts'
import { tools } from './ready.ts'
import { labName, sweep } from './sweep.ts'

export interface LabOptions {
  dir: string
  /** The gateway's port. The other parts use free ports above it. */
  port: number
  /** Forget what an earlier lab in this folder built and ran. */
  fresh?: boolean
  /** Further settings of the gateway. `TARMAC_PUSH_MIRROR: 'lab'` means the lab's own mirror. */
  settings?: Record<string, string>
  /** Resolvers of build steps. By default this machine's own. */
  dns?: string[]
  /** Called for each part when it is ready. */
  say?: (line: string) => void
}

export type Lab = Awaited<ReturnType<typeof startLab>>

/**
 * Sweeps the remains of an earlier lab in the folder, starts every part, and writes `lab.json` with
 * their addresses.
 */
export async function startLab({ port, settings = {}, say = () => {}, ...options }: LabOptions) {
  const dir = resolve(options.dir)
  await mkdir(dir, { recursive: true })
  await using opening = new AsyncDisposableStack()
  opening.use(claimFolder(dir))
  await sweep(dir)
  if (options.fresh)
    for (const part of ['buildkit', 'gateway', 'localfly', 'podman', 'registry'])
      await rm(join(dir, part), { recursive: true, force: true })
  if (!(await isFree(port))) throw new Error(`Port ${port} is taken: choose another, with --port.`)
  const { dns = await resolvers() } = options
  // takes a second or two, in parallel with the start of the parts
  const networkSettings = buildNetworkSettings(dns)
  const planner = await findPlanner()

  const registryPort = await freePort(port + 1)
  const registryPart = opening.use(
    await restartable(() => startRegistry({ dir, port: registryPort, images: true })),
  )
  const registry = registryPart.current
  say(`registry   ${registry.address}, with stand-in base images`)

  const frontPort = await freePort(registryPort + 1)
  const buildkitdPart = opening.use(
    await restartable(() =>
      startBuildkitd({ dir, registryPort, plainHttpPorts: [frontPort], dns }),
    ),
  )
  const buildkitd = buildkitdPart.current
  say(
    `buildkitd  ${buildkitd.address}, builds on ${buildkitd.bridge.name} (${buildkitd.bridge.subnet})`,
  )

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
    TARMAC_BUILD_ROOT: join(dir, 'buildkit'),
    TARMAC_BUILD_BRIDGE: buildkitd.bridge.name,
    TARMAC_BUILDKITD: tools.buildkitd, // for a gateway that supervises its own daemon
    TARMAC_MIRRORS: ['docker.io', 'ghcr.io'].map((host) => `${host}=${registry.address}`).join(','),
    ...(await networkSettings),
    TARMAC_CONTEXT_PORT: String(contextPort),
    TARMAC_PUSH_PORT: String(await freePort(contextPort + 1)),
    TARMAC_RAILPACK: planner.path,
    // The lab may run Debian 12's runc 1.1.5. The gateway warns about it at its start.
    TARMAC_ALLOW_OLD: 'runc',
    TARMAC_PLAN_NETWORK: 'none', // neither the stand-in nor the stub for mise uses the network
    TARMAC_REGISTRY: localfly.registry,
    TARMAC_FLY_API: localfly.flyApi,
    TARMAC_FLY_WEB_API: localfly.flyApi,
    TARMAC_FLY_TOKEN: flyToken,
    TARMAC_FLY_ORG: 'personal',
    TARMAC_FLY_REGION: 'ams',
    TARMAC_URL: `http://{app}.localhost:${proxyPort}/`,
    // Most tests of owners are about one app with many machines.
    TARMAC_OWNERS: 'shared-app',
    TARMAC_OWNER_URL: `http://{owner}.tarmac_owner.kv._metadata.{app}.internal.localhost:${proxyPort}/`,
    TARMAC_ROUTER_URL: `http://{app}-router.localhost:${proxyPort}/~{owner}/`,
    TARMAC_LOG_LEVEL: 'info',
    // The lab shares its disk with everything else on this machine, so its cache may stay longer.
    TARMAC_DISK_SOFT: '0',
    TARMAC_DISK_HIGH: '10%',
    TARMAC_DISK_LOW: '5%',
    TARMAC_PROXY_PAUSE: '1', // the lab's proxy notices changes at once
    TARMAC_DRAIN: '5',
    // the same at the next start
    TARMAC_SECRETS_KEY: createHash('sha256').update(dir).digest('hex'),
    ...settings,
    // The lab's mirror has an address only now.
    ...(settings['TARMAC_PUSH_MIRROR'] === 'lab' && { TARMAC_PUSH_MIRROR: localfly.mirror }),
  }
  const gatewayPart = opening.use(
    await restartable((more) =>
      startGatewayProcess({ dir, port, settings: { ...gatewaySettings, ...more } }),
    ),
  )
  say(
    `gateway    http://127.0.0.1:${port}, planner: ${planner.version}${planner.standIn ? ' (a stand-in)' : ''}`,
  )

  const inside = { ...localfly.inside, network: await networkSettings }
  const addresses = {
    gateway: `http://127.0.0.1:${port}`,
    token,
    flyApi: localfly.flyApi,
    flyToken,
    registry: localfly.registry,
    buildkit: buildkitd.address,
    apps: localfly.apps,
    flyControl: localfly.flyControl,
    mirror: localfly.mirror,
  }
  const file = join(dir, 'lab.json')
  const up = upInLab({ ...addresses, inside, dir })
  await writeFile(file, `${JSON.stringify({ ...addresses, up }, null, 2)}\n`, { mode: 0o600 })
  opening.defer(() => rm(file, { force: true }))
  const parts = { registry: registryPart, buildkitd: buildkitdPart, gateway: gatewayPart }
  const open = opening.move()
  return {
    ...addresses,
    appsTls: localfly.appsTls,
    fly: localfly.fly,
    /** Where machines reach Fly and the package registries: the settings of an appliance. */
    inside,
    dir,
    planner,
    bridge: buildkitd.bridge,
    contextPort,
    get gatewayProcess() {
      return gatewayPart.current
    },
    /** Kills a part, as a crash does. */
    kill: (part: keyof typeof parts) => killRecorded(dir, part),
    stop: (part: keyof typeof parts) => parts[part].stop(),
    /**
     * Restarts a part after it was killed or stopped, the gateway optionally with further settings.
     */
    start: (part: keyof typeof parts, more: Record<string, string> = {}) => parts[part].start(more),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

async function restartable<T extends AsyncDisposable>(
  open: (more: Record<string, string>) => Promise<T>,
) {
  let current = await open({})
  const stop = () => current[Symbol.asyncDispose]()
  return {
    get current() {
      return current
    },
    stop,
    async start(more: Record<string, string>) {
      await stop() // so that it releases what it held when it was killed
      current = await open(more)
    },
    [Symbol.asyncDispose]: stop,
  }
}

function secret(): string {
  return randomBytes(24).toString('base64url')
}
