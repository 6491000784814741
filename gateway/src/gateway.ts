import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openBuildDisk, openBuildkit } from './buildkit/open-buildkit.ts'
import type { Commands } from './commands/commands.ts'
import { openCommands } from './commands/open-commands.ts'
import { Rollouts } from './commands/rollouts.ts'
import { Submissions } from './commands/submissions.ts'
import type { Config } from './config.ts'
import { openDoctor } from './doctor/open-doctor.ts'
import { obeyCrashOrders } from '#api/flow/crash-point.ts'
import { Deployer } from './deploy/deployer.ts'
import { ReleaseWatch } from './deploy/release-health/watch-releases.ts'
import { FlyAccess } from '#fly/fly-access.ts'
import { MachinesApi } from '#fly/machines-api.ts'
import { ReleasesApi } from '#fly/releases-api.ts'
import { overUndici } from '#fly/undici-transport.ts'
import { Ballast } from './host/disk/ballast.ts'
import type { DiskWatch } from './host/disk/disk-watch.ts'
import { retryWhenFull } from './host/disk/retry-when-full.ts'
import { sandboxKind } from './host/sandbox/sandbox.ts'
import { startHousekeeping } from './housekeeping.ts'
import { listen } from './http/listen.ts'
import { NetworkGuard } from './isolation/guard.ts'
import { openLookupNetwork } from './isolation/planner-network.ts'
import { verifyIsolation } from './isolation/probe.ts'
import { openLog, type Logger } from './log.ts'
import { makeSteps } from './pipeline/make-steps.ts'
import { Runner } from './pipeline/runner.ts'
import { plannerAt } from './railpack/open-planner.ts'
import { miseFolder } from './railpack/prepare.ts'
import { probeMs, readiness } from './readiness.ts'
import { speaksPlainHttp } from './registry/image-access.ts'
import { Registry } from './registry/registry.ts'
import { ownKey } from './secrets/own-key.ts'
import { Vault } from './secrets/vault.ts'
import { Sources } from './sources/sources.ts'
import { openStatus } from './status/open-status.ts'
import { databaseIn } from './store/backup.ts'
import { IntegrityWatch } from './store/integrity/integrity-watch.ts'
import { openSqliteStore } from './store/sqlite.ts'
import { lockVolume } from './store/volume-lock.ts'
import { addAnswers, findVersions } from './versions/at-start.ts'

/** What every part is opened with. `opening` closes them in the opposite order. */
type Opening = { config: Config; log: Logger; opening: AsyncDisposableStack }

/** Opens the parts, lowest first. */
export async function startGateway(config: Config, log: Logger = openLog(config.logLevel)) {
  obeyCrashOrders(config.crashFile)
  await using opening = new AsyncDisposableStack() // closes the opened parts if one fails to open
  const start = { config, log, opening }

  const volume = await openVolume(start)
  const outside = openFly(start)
  const builder = await openBuilder(start, volume)
  const records = await openRecords(start, { ...volume, ...builder })
  const opened = { ...volume, ...outside, ...builder, ...records }
  const running = await openRunner(start, opened)

  const stopping = new AbortController()
  const parts = { ...opened, ...running, stopping: stopping.signal }
  opening.use(startHousekeeping({ ...parts, log }, config))
  const watched = { ...parts, ...config.deployer, releases: parts.store.releases, log }
  opening.use(ReleaseWatch.start(watched, config.releaseLookMs))
  const commands = await openDeployments(start, parts)
  const server = await openServer(start, { ...parts, commands })
  opening.defer(async () => {
    stopping.abort()
    await running.runner.drain() // while the server can still answer with a time to retry
  })
  log.info({ url: server.url }, 'gateway listens')

  const open = opening.move()
  return { url: server.url, store: records.store, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

async function openVolume({ config: { data }, opening }: Opening) {
  await mkdir(data, { recursive: true })
  opening.use(lockVolume(data))

  // Expendable: `spool` holds interrupted uploads, `plans` holds plans that can be made again.
  const ballast = new Ballast(join(data, 'ballast'), [join(data, 'spool'), join(data, 'plans')])
  await ballast.releaseIfFull()
  return { ballast, key: await ownKey(join(data, 'key')) }
}

function openFly({ config, log, opening }: Opening) {
  const { registry: host, secrets } = config
  const fly = opening.use(new MachinesApi(overUndici(config.fly.api, secrets.fly)))
  const releases = opening.use(new ReleasesApi(overUndici(config.fly.webApi, secrets.fly)))
  const warnLater = (text: string) => log.warn(text)
  const deployer = opening.use(
    new Deployer({ fly, releases, warnLater, registry: host, ...config.deployer }),
  )
  const login = { username: 'x', password: secrets.fly }
  const insecure = speaksPlainHttp(host, config.plainHttp)
  const registry = opening.use(new Registry({ host, login, insecure }))
  return { fly, flyAccess: new FlyAccess(fly, config.deployer.org), deployer, registry }
}

/** The build daemon, its disk, and the planner. */
async function openBuilder({ config, log, opening }: Opening, { key }: { key: Uint8Array }) {
  const versions = await findVersions(config, miseFolder)
  const { buildkit, daemon, daemonId } = await openBuildkit(config, key, log, opening)
  const disk = opening.use(await openBuildDisk(config, { buildkit, daemon }, log))

  const openLookups = () => openLookupNetwork(config.data, config.buildNetwork)
  const lookups =
    config.planNetwork === 'public' ? opening.use(await retryWhenFull(disk, openLookups)) : null

  const planner = plannerAt(config.railpack, probeMs)
  const daemonAnswer = buildkit.info(AbortSignal.timeout(probeMs))
  await addAnswers(versions, { planner: planner(), daemon: daemonAnswer }, log)
  log.info({ sandbox: await sandboxKind() }, 'sandbox of the planner')
  return { buildkit, daemonId, disk, lookups, planner, versions }
}

async function openRecords(
  { config: { data, source }, log, opening }: Opening,
  { ballast, disk }: { ballast: Ballast; disk: DiskWatch },
) {
  const sources = opening.use(await Sources.open({ dir: data, limits: source }))
  const records = () => openSqliteStore(databaseIn(data), { makeRoom: () => ballast.release() })
  const store = opening.use(await retryWhenFull(disk, records))
  await ballast.fillForStart()
  const integrity = opening.use(new IntegrityWatch(databaseIn(data), log))
  return { sources, store, integrity }
}

type Parts = Awaited<ReturnType<typeof openVolume>> &
  ReturnType<typeof openFly> &
  Awaited<ReturnType<typeof openBuilder>> &
  Awaited<ReturnType<typeof openRecords>>

/** Resumes what an earlier gateway left, and starts on the queue. */
async function openRunner({ config, log, opening }: Opening, parts: Parts) {
  const { key, fly, deployer, registry, buildkit, daemonId, disk, lookups, planner } = parts
  const { sources, store, versions } = parts
  const vault = new Vault(store, config.secrets.key)
  const ports = [config.http.port, config.buildkit.contextPort]
  const network = opening.use(
    NetworkGuard.start({
      async prove(signal) {
        versions.add('buildkitd', { ...(await buildkit.info(signal)), note: null })
        return verifyIsolation(buildkit, { ...config.buildNetwork, ports }, signal)
      },
      daemon: daemonId,
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
      region: config.fly.region,
      key,
      plansDir: join(config.data, 'plans'),
      lookups,
      publicIps: config.fly.publicIps,
    },
  )

  const hiddenValues = [...config.secrets.tokens, config.secrets.fly]
  // If the boot id is unknown, all runs of the gateway count as one boot.
  const boot = await readFile(config.bootIdFile, 'utf8').catch(() => '')
  const runner = opening.use(
    await Runner.start({
      store,
      steps,
      log,
      limits: config.limits,
      hiddenValues,
      boot,
      gate: network,
    }),
  )
  return { vault, network, runner }
}

type Running = Awaited<ReturnType<typeof openRunner>>

/** What callers may ask of deployments. */
async function openDeployments({ config, log, opening }: Opening, parts: Parts & Running) {
  const { fly, deployer, registry, disk, sources, store, vault, runner } = parts

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

  const status = openStatus(parts, config)
  const doctor = openDoctor({ ...parts, config, status, records: { store, vault } })
  const run = { submissions, rollouts, runner, status, doctor }
  return openCommands({ store, vault, fly, deployer, log, ...run })
}

/** Listens for callers, as the last part that opens. */
async function openServer(
  { config, log, opening }: Opening,
  parts: Parts & Running & { commands: Commands; stopping: AbortSignal },
) {
  const { buildkit, planner, disk, sources, store, integrity, network, flyAccess } = parts
  const { commands, stopping } = parts

  return opening.use(
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
          region: config.fly.region,
          builds: config.limits.appBuilds,
          ...config.keep,
          ...config.appTimes,
        },
        readiness: () => readiness({ buildkit, planner, network, disk, integrity, fly: flyAccess }),
        tokens: config.secrets.tokens,
        log,
        stopping,
        maxUploadBytes: config.source.uploadBytes,
      },
      config.http,
    ),
  )
}
