import { randomBytes } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { mkdir, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from '#api/error-code.ts'
import type { Problem } from '#api/problem.ts'
import { verifyIsolation } from './isolation/probe.ts'
import { Daemon } from './buildkit/daemon/daemon.ts'
import { Buildkit } from './buildkit/client.ts'
import { stopLargestStep } from './buildkit/daemon/step-writes.ts'
import type { Config } from './config.ts'
import { obeyCrashOrders } from './crash-point.ts'
import { Deployer } from './deploy/deployer.ts'
import { MachinesApi } from './fly/machines-api.ts'
import { Ballast } from './host/ballast.ts'
import { DiskWatch } from './host/disk-watch.ts'
import { openLookupNetwork } from './isolation/planner-network.ts'
import { sandboxKind } from './host/sandbox.ts'
import { startHousekeeping } from './housekeeping.ts'
import { listen } from './http/listen.ts'
import { Sources } from './sources/sources.ts'
import { openLog, type Logger } from './log.ts'
import { openCommands } from './commands/open-commands.ts'
import { makeSteps } from './pipeline/make-steps.ts'
import { NetworkGuard } from './isolation/guard.ts'
import { Rollouts } from './commands/rollouts.ts'
import { Runner } from './pipeline/runner.ts'
import { Submissions } from './commands/submissions.ts'
import { Vault } from './secrets/vault.ts'
import { plannerAt } from './railpack/open-planner.ts'
import { probe, probeMs, readiness } from './readiness.ts'
import { dockerLogin } from './registry/docker-config.ts'
import { onLoopback } from './registry/image-access.ts'
import { Registry } from './registry/registry.ts'
import { databaseIn } from './store/backup.ts'
import { IntegrityWatch } from './store/integrity/integrity-watch.ts'
import { openSqliteStore } from './store/sqlite.ts'
import { lockVolume } from './store/volume-lock.ts'

/** Opens the parts, lowest first. The stack closes them in the opposite order. */
export async function startGateway(config: Config, log: Logger = openLog(config.logLevel)) {
  const { data, limits, fly: place, secrets } = config
  obeyCrashOrders(config.crashFile)
  await using opening = new AsyncDisposableStack() // closes the opened parts if one fails to open
  await mkdir(data, { recursive: true })
  opening.use(lockVolume(data))

  // Expendable: `spool` holds interrupted uploads, `plans` holds plans that can be made again.
  const ballast = new Ballast(join(data, 'ballast'), [join(data, 'spool'), join(data, 'plans')])
  await ballast.releaseIfFull()
  const key = await ownKey(join(data, 'key'))

  const fly = opening.use(new MachinesApi({ baseUrl: place.api, token: secrets.fly }))
  const deployer = new Deployer({
    fly,
    org: place.org,
    network: place.network,
    builder: place.builder,
    urlTemplate: place.url,
    ownerUrlTemplate: place.ownerUrl,
    watchMs: limits.watchMs,
    proxyMs: limits.proxyMs,
    waitMs: limits.machineMs,
  })

  const login = { username: 'x', password: secrets.fly }
  const registry = opening.use(
    new Registry({ host: config.registry, login, insecure: onLoopback(config.registry) }),
  )

  const daemon =
    config.buildkit.address === 'spawn' ? opening.use(await startDaemon(config, log)) : null
  const address = daemon?.address ?? config.buildkit.address
  const buildkit = opening.use(
    await Buildkit.open({
      ...config.buildkit,
      address,
      key,
      images: config.images,
      ...(daemon || config.daemon.mirrors.length > 0 ? { mirrors: mirrorsOf(config) } : {}),
      loginFor: (app, host) => {
        if (host === config.registry) return { user: login.username, secret: login.password }
        return config.dockerConfig
          ? dockerLogin(config.dockerConfig.replaceAll('{app}', app), host)
          : null
      },
    }),
  )

  const disk = opening.use(
    await DiskWatch.open({
      ...config.disk,
      folder: existsSync(config.buildkit.root) ? config.buildkit.root : data,
      makeRoom: (freeBytes) => buildkit.prune(freeBytes),
      async makeMoreRoom(freeBytes) {
        if (!daemon || (await buildkit.leakedBytes(AbortSignal.timeout(probeMs))) === 0)
          return false
        log.warn('build daemon holds what stopped builds wrote; it is started anew')
        await daemon.restart()
        await buildkit.prune(freeBytes)
        return true
      },
      ...(daemon && {
        stopLargest: (by) =>
          stopLargestStep({ command: config.daemon.command, root: config.buildkit.root }, by),
      }),
      log,
    }),
  )

  const lookups =
    config.planNetwork === 'public'
      ? opening.use(await withDiskSpace(() => openLookupNetwork(data, config.buildNetwork), disk))
      : null

  const planner = plannerAt(config.railpack, probeMs)
  const { ok, detail } = await probe(planner())
  log[ok ? 'info' : 'error'](
    { planner: detail, sandbox: await sandboxKind() },
    ok ? 'planner found' : 'no planner',
  )

  const { uploadBytes, treeBytes: expandedBytes, uploadBytesPerS: minBytesPerS, unpackMs } = limits
  const sources = opening.use(
    await Sources.open({
      dir: data,
      limits: { uploadBytes, expandedBytes, minBytesPerS, unpackMs },
    }),
  )

  const records = () => openSqliteStore(databaseIn(data), { makeRoom: () => ballast.release() })
  const store = opening.use(await withDiskSpace(records, disk))
  await ballast.fillForStart()
  const integrity = opening.use(new IntegrityWatch(databaseIn(data), log))

  const vault = new Vault(store, secrets.key)
  const ports = [config.http.port, config.buildkit.contextPort]
  const network = opening.use(
    NetworkGuard.start({
      prove: (signal) => verifyIsolation(buildkit, { ...config.buildNetwork, ports }, signal),
      daemon: () => socketIdentity(address),
      log,
    }),
  )

  const steps = makeSteps(
    { vault, sources, buildkit, registry, store, fly, deployer, disk },
    {
      planner,
      assertIsolated: (signal) => network.proven(signal),
      registryHost: config.registry,
      registryCache: config.registryCache,
      region: place.region,
      key,
      plansDir: join(data, 'plans'),
      lookups,
      publicIps: place.publicIps,
    },
  )

  const hiddenValues = [...secrets.tokens, secrets.fly]
  // If the boot id is unknown, all runs of the gateway count as one boot.
  const boot = await readFile(config.bootIdFile, 'utf8').catch(() => '')
  const runner = opening.use(
    await Runner.start({ store, steps, log, limits, hiddenValues, boot, gate: network }),
  )

  const stopping = new AbortController()
  opening.use(
    startHousekeeping({ store, sources, ballast, log, stopping: stopping.signal }, config),
  )

  const submissions = new Submissions({
    store,
    vault,
    sources,
    registry,
    registryHost: config.registry,
    assertAccepting: () => disk.assertRoom(),
  })

  const rollouts = opening.use(
    await Rollouts.start({
      store,
      submissions,
      cancel: (id, request) => runner.cancel(id, request),
      log,
    }),
  )

  const commands = openCommands({
    store,
    vault,
    fly,
    deployer,
    submissions,
    rollouts,
    runner,
  })

  const server = opening.use(
    await listen(
      commands,
      {
        store,
        receive: (body, more) => sources.receive(body, more),
        assertAccepting(upload) {
          network.assertAccepting()
          return disk.reserve(upload)
        },
        appDefaults: {
          region: place.region,
          builds: limits.appBuilds,
          ...config.keep,
          ...config.appTimes,
        },
        readiness: () => readiness({ buildkit, planner, network, disk, integrity }),
        tokens: secrets.tokens,
        log,
        stopping: stopping.signal,
        maxUploadBytes: limits.uploadBytes,
      },
      config.http,
    ),
  )

  opening.defer(async () => {
    stopping.abort()
    await runner.drain() // while the server can still tell callers when to retry
  })
  log.info({ url: server.url }, 'gateway listens')

  const open = opening.move()
  return { url: server.url, store, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

/** The mirrors of each registry, by the registry's host. */
function mirrorsOf({ daemon }: Config): Record<string, string[]> {
  const mirrors: Record<string, string[]> = {}
  for (const [host, place] of daemon.mirrors) (mirrors[host] ??= []).push(place)
  return mirrors
}

/** Starts the gateway's own build daemon, with its cache on the gateway's volume. */
function startDaemon(config: Config, log: Logger): Promise<Daemon> {
  const { data, buildkit, daemon, registry, limits } = config
  const mirrors = mirrorsOf(config)
  const plainHttp = new Set([registry, ...Object.values(mirrors).flat()].filter(onLoopback))
  // The daemon holds this output in memory. It is four times what the log keeps, so that the log
  // can say how much is missing.
  return Daemon.start(
    {
      ...daemon,
      dir: data,
      root: buildkit.root,
      mirrors,
      plainHttp: [...plainHttp],
      stepLogBytes: limits.log.stepBytes * 4,
    },
    log,
  )
}

/** Opens something that needs disk space. If the disk is full, prunes old caches and retries. */
async function withDiskSpace<T>(open: () => T | Promise<T>, disk: DiskWatch): Promise<T> {
  try {
    return await open()
  } catch (error) {
    const isFull = (error as Problem).code === 'no-space' || errorCode(error) === 'ENOSPC'
    if (!isFull) throw error
    await disk.makeRoom()
    return open()
  }
}

/** Changes when the daemon restarts, because it then creates a new socket. Null: no socket. */
function socketIdentity(address: string): string | null {
  const socket = statSync(address.replace('unix://', ''), { throwIfNoEntry: false })
  return socket ? `${socket.ino} ${socket.ctimeMs}` : null
}

/** This gateway's 32 random bytes. Source addresses and each app's key are derived from them. */
async function ownKey(path: string): Promise<Uint8Array> {
  const known = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return null
  })
  if (known?.length === 32) return known // a crash may leave a shorter one, which was never used
  const key = randomBytes(32)
  await using file = await open(path, 'w', 0o600)
  await file.writeFile(key)
  await file.sync()
  return key
}
