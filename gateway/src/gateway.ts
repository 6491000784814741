import { randomBytes, randomUUIDv7 } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { asProblem } from '#api/problem.ts'
import { Daemon } from './buildkit/daemon.ts'
import { Buildkit } from './buildkit/solve.ts'
import type { Config } from './config.ts'
import { Deployer } from './deploy/deployer.ts'
import { MachinesApi } from './fly/machines-api.ts'
import type { DeploymentStore } from './deployments/store.ts'
import { DiskWatch } from './host/disk-watch.ts'
import { listen } from './http/listen.ts'
import { Intake } from './intake/intake.ts'
import { openLog, type Logger } from './log.ts'
import type { NewDeployment } from './deployments/store.ts'
import { makeSteps } from './pipeline/make-steps.ts'
import { retryOf } from './pipeline/retry-of.ts'
import { Runner } from './pipeline/runner.ts'
import { plannerAt } from './railpack/open-planner.ts'
import { Registry } from './registry/registry.ts'
import { openSqliteStore } from './store/sqlite.ts'

const sweepEveryMs = 10 * 60_000
const probeMs = 5000

/** Puts the parts together, lowest first; the stack closes them in the opposite order. */
export async function startGateway(config: Config, log: Logger = openLog(config.logLevel)) {
  const { data, limits, fly: place, secrets } = config
  await using opening = new AsyncDisposableStack() // if any part fails to open, the opened ones close
  await mkdir(data, { recursive: true })
  const key = await ownKey(join(data, 'key'))

  const fly = opening.use(new MachinesApi({ baseUrl: place.api, token: secrets.fly }))
  const deployer = new Deployer({
    fly,
    org: place.org,
    urlTemplate: place.url,
    watchMs: limits.watchMs,
    waitMs: limits.machineMs,
  })
  const insecure = onLoopback(config.registry)
  const login = { username: 'x', password: secrets.fly }
  const registry = opening.use(new Registry({ host: config.registry, login, insecure }))
  const daemon = config.buildkit.address === 'spawn' ? opening.use(await startDaemon(config, log)) : null
  const buildkit = opening.use(
    await Buildkit.open({
      ...config.buildkit,
      address: daemon?.address ?? config.buildkit.address,
      key,
      login: (host) => (host === config.registry ? { user: login.username, secret: login.password } : null),
    }),
  )
  const disk = opening.use(
    await DiskWatch.open({
      ...config.disk,
      folder: existsSync(config.buildkit.root) ? config.buildkit.root : data,
      makeRoom: (freeBytes) => buildkit.prune(freeBytes),
      async makeMoreRoom(freeBytes) {
        if (!daemon || (await buildkit.heldBytes(AbortSignal.timeout(probeMs))) === 0) return
        log.warn('build daemon holds what stopped builds wrote; it is started anew')
        await daemon.restart()
        await buildkit.prune(freeBytes)
      },
      log,
    }),
  )
  const planner = plannerAt(config.railpack, probeMs)
  const intake = opening.use(
    await Intake.open({ dir: data, limits: { uploadBytes: limits.uploadBytes, expandedBytes: limits.treeBytes } }),
  )
  const store = opening.use(openSqliteStore(join(data, 'tarmac.db')))

  const steps = makeSteps(
    { intake, buildkit, registry, deployer, disk },
    {
      planner,
      registryHost: config.registry,
      region: place.region,
      lastImage: (app) => lastImageOf(app, config.registry, store),
      key,
      workDir: join(data, 'plans'),
    },
  )
  const runner = opening.use(await Runner.start({ store, steps, log, limits }))
  const sweep = async () => {
    const { removed } = await intake.sweep(await store.sourcesInUse(config.keepSources))
    if (removed > 0) log.info({ removed }, 'left-over sources removed')
  }
  await sweep()
  const sweeping = setInterval(
    () => void sweep().catch((err: unknown) => log.error({ err }, 'sweep failed')),
    sweepEveryMs,
  )
  opening.defer(() => clearInterval(sweeping))

  const submit = async (asked: Omit<NewDeployment, 'id'>) => {
    const deployment = await store.create({ id: randomUUIDv7(), ...asked })
    runner.wake()
    return deployment
  }
  const stopping = new AbortController()
  const server = opening.use(
    await listen(
      {
        store,
        admit: () => disk.assertRoom(),
        receive: (body, more) => intake.receive(body, more),
        submit,
        async retry(id, more) {
          disk.assertRoom()
          return submit({ ...(await retryOf(id, more.again, { store, intake })), idempotencyKey: more.idempotencyKey })
        },
        cancel: (id, wish) => runner.cancel(id, wish),
        async readiness() {
          const signal = AbortSignal.timeout(probeMs)
          const [builder, plans] = await Promise.all([probe(buildkit.info(signal)), probe(planner())])
          return { ready: builder.ok && plans.ok, parts: { buildkit: builder, planner: plans, disk: disk.state() } }
        },
        tokens: secrets.tokens,
        log,
        stopping: stopping.signal,
        maxUploadBytes: limits.uploadBytes,
      },
      config.http,
    ),
  )
  opening.defer(() => stopping.abort())
  log.info({ url: server.url }, 'gateway ready')
  const open = opening.move()
  return { url: server.url, store, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

/** The digest of the image that was last built for an app. */
async function lastImageOf(app: string, host: string, store: DeploymentStore): Promise<string | null> {
  const { deployments } = await store.list(app, { limit: 10, before: null })
  const built = deployments.find(({ image }) => image?.reference.startsWith(`${host}/${app}@`))
  return built?.image?.digest ?? null
}

const onLoopback = (host: string) => /^(127\.|localhost(:|$)|\[::1\])/.test(host)

/** A build daemon of our own, its cache on our volume. */
function startDaemon({ data, buildkit, daemon, registry }: Config, log: Logger): Promise<Daemon> {
  const mirrors: Record<string, string[]> = {}
  for (const [host, place] of daemon.mirrors) (mirrors[host] ??= []).push(place)
  const plainHttp = new Set([registry, ...Object.values(mirrors).flat()].filter(onLoopback))
  const { stepBytes } = buildkit.logLimits
  // The daemon keeps what it hands on in memory: a few times what we keep, so that we know how much we left out.
  return Daemon.start(
    { ...daemon, dir: data, root: buildkit.root, mirrors, plainHttp: [...plainHttp], stepLogBytes: stepBytes * 4 },
    log,
  )
}

/** 32 random bytes that this gateway keeps: addresses of sources and the apps' own keys are made from them. */
async function ownKey(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    const key = randomBytes(32)
    await writeFile(path, key, { mode: 0o600, flag: 'wx' })
    return key
  }
}

/** How a part answers, for the health page. */
async function probe(look: Promise<{ version: string }>): Promise<{ ok: boolean; detail: string }> {
  return look.then(
    ({ version }) => ({ ok: true, detail: version }),
    (error: unknown) => ({ ok: false, detail: asProblem(error).message }),
  )
}
