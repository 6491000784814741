import { readFile } from 'node:fs/promises'
import { Awake } from './awake/awake.ts'
import { openBuilder } from './builder.ts'
import { idleStopMs, untilIdle } from './awake/idle-stop.ts'
import { Admission } from './callers/admission.ts'
import { openCallers } from './callers/open-callers.ts'
import { proofAfterRestart } from './callers/proof-after-restart.ts'
import { openGuarded } from './commands/access/open-guarded.ts'
import type { GuardedCommands } from './commands/access/guarded.ts'
import { Drain } from './commands/drain.ts'
import { Claims } from './commands/previews/claims.ts'
import { openCommands } from './commands/open-commands.ts'
import { OwnerRoutes } from './commands/router/owner-routes.ts'
import { Rollouts } from './commands/rollouts.ts'
import { Submissions } from './commands/submissions.ts'
import type { Config } from './config.ts'
import { openDoctor } from './doctor/open-doctor.ts'
import { obeyCrashOrders } from '#api/flow/crash-point.ts'
import { templateChecker } from './deploy/config/check-template.ts'
import { ReleaseWatch } from './deploy/release-health/watch-releases.ts'
import { openDrift } from './drift/open-drift.ts'
import { ownMachine } from './host/own-machine.ts'
import { startHousekeeping } from './housekeeping.ts'
import { listen } from './http/listen.ts'
import { openKeptImages } from './kept-images/open-kept-images.ts'
import { openGuard } from './isolation/open-guard.ts'
import type { Logger } from './log.ts'
import { makeSteps } from './pipeline/make-steps.ts'
import { Runner } from './pipeline/runner.ts'
import { markOf } from './deployments/previews/preview-names.ts'
import { openPreviewKeeper } from './previews/open-keeper.ts'
import { openOutside } from './outside.ts'
import { readiness } from './readiness.ts'
import { openImageCopier } from './registry/copy/open-image-copier.ts'
import { Logins } from './registries/logins.ts'
import { openSealed } from './registries/open-sealed.ts'
import { redactedLog } from './secrets/redaction/redacted-log.ts'
import { gatewayLimits } from './status/gateway-limits.ts'
import { openStatus } from './status/open-status.ts'
import { openRecords, openVolume } from './volume.ts'

/** What every part is opened with. `opening` closes them in the opposite order. */
type Opening = { config: Config; log: Logger; opening: AsyncDisposableStack; awake: Awake }

/** After the end of a deployment the gateway stays awake for so many looks at its release. */
const looksAfter = 3

/** For a question to Fly while a caller waits. */
const askFlyMs = 30_000

/** Opens the parts, lowest first. */
export async function startGateway(config: Config, log: Logger = redactedLog(config.logLevel)) {
  obeyCrashOrders(config.crashFile)
  await using opening = new AsyncDisposableStack() // closes the opened parts if one fails to open
  const awake = new Awake()
  const start = { config, log, opening, awake }

  const volume = await openVolume({ ...config, log, opening })
  const outside = openOutside(start)
  const logins = new Logins(config)
  const builder = await openBuilder({ ...start, ...volume, ...outside, logins })
  const records = await openRecords({ ...config, log, opening }, { ...volume, ...builder })
  const kept = await openSealed(config, { ...records, logins, log })
  const opened = { ...volume, ...outside, ...builder, ...records, ...kept, logins }
  const admission = new Admission(opened.store, opened.uploads, config.uploads)
  const assertAccepting = () => opened.disk.assertRoom()
  const submissions = new Submissions({ ...opened, admission, assertAccepting })
  const ownerRoutes = opening.use(new OwnerRoutes({ ...opened, submissions, log }))
  const running = await openRunner(start, { ...opened, submissions, ownerRoutes })

  const stopping = new AbortController()
  const callers = opening.use(await openCallers(config, { ...opened, log }))
  const made = { submissions, ownerRoutes, admission, stopping: stopping.signal }
  const parts = { ...opened, ...made, ...running, ...callers }
  opening.use(startHousekeeping({ ...parts, awake, log }, config))
  const watched = { ...parts, ...config.deployer, releases: parts.store.releases, log }
  opening.use(ReleaseWatch.start(watched, config.releaseLookMs))
  const commands = await openDeployments(start, parts)
  const server = await openServer(start, { ...parts, commands })
  opening.defer(async () => {
    stopping.abort()
    await running.runner.drain() // while the server can still answer with a time to retry
  })
  log.info({ url: server.url }, 'gateway listens')

  awake.idleStopMs = idleStopMs(config.idleStop, await ownMachine(config.machine))
  const open = opening.move()
  return {
    url: server.url,
    store: records.store,
    restart: records.restart,
    untilIdle: (signal: AbortSignal) => untilIdle({ awake, server, log, signal }),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

type Parts = { logins: Logins } & Awaited<ReturnType<typeof openVolume>> &
  ReturnType<typeof openOutside> &
  Awaited<ReturnType<typeof openBuilder>> &
  Awaited<ReturnType<typeof openRecords>> &
  Awaited<ReturnType<typeof openSealed>>

type Made = { submissions: Submissions; ownerRoutes: OwnerRoutes }

/** Resumes what an earlier gateway left, and starts on the queue. */
async function openRunner({ config, log, opening, awake }: Opening, parts: Parts & Made) {
  const { key, fly, deployer, registry, buildkit, daemonId, disk, lookups, planner } = parts
  const { sources, store, plans, versions, mirror, vault, hiddenValues, ownerRoutes } = parts
  const ports = [config.http.port, config.buildkit.contextPort, ...parts.ports]
  // If the boot id is unknown, all runs of the gateway count as one boot.
  const boot = await readFile(config.bootIdFile, 'utf8').catch(() => '')
  const found = (daemon: { version: string }) =>
    versions.add('buildkitd', { ...daemon, note: null })
  const guarded = { buildkit, daemonId, ports, boot, found, log }
  const network = opening.use(openGuard(config, guarded))

  const copier = opening.use(openImageCopier(config, registry, parts.logins.registryLogin))
  const apis = { buildkit, registry, copier, mirror, fly, deployer }
  const deps = { ...apis, vault, sources, store, disk, ownerRoutes }
  const settings = {
    planner,
    assertIsolated: (signal: AbortSignal) => network.proven(signal),
    registryHost: config.registry,
    registryCache: config.registryCache,
    region: config.fly.region,
    key,
    plans,
    lookups,
    publicIps: config.fly.publicIps,
    routerUrl: config.routerUrl,
    previews: config.previews,
  }
  const steps = makeSteps(deps, settings)

  const run = { store, steps, log, limits: config.limits, hiddenValues, boot, gate: network }
  const runner = opening.use(await Runner.start(run))
  awake.count('deployments', async () =>
    (await store.status.unfinishedByState()).reduce((sum, { count }) => sum + count, 0),
  )
  const justDeployed = awake.extendable('releases', looksAfter * config.releaseLookMs)
  opening.use(store.onQueueChange(justDeployed))
  const drain = opening.use(new Drain({ store, runner, log }))
  const images = opening.use(await openKeptImages({ deps, settings }, config, log))
  awake.count('images', () => Number(images.status.running))
  const drift = await openDrift({ config, log, opening, awake }, { fly, store, ownerRoutes })
  return { network, runner, drain, images, ...drift }
}

type Running = Made &
  Awaited<ReturnType<typeof openRunner>> &
  Awaited<ReturnType<typeof openCallers>> & { stopping: AbortSignal; admission: Admission }

/** What callers may ask of deployments. */
async function openDeployments({ config, log, opening, awake }: Opening, parts: Parts & Running) {
  const { store, vault, runner, fly, submissions } = parts

  const rollouts = opening.use(
    await Rollouts.start({
      store,
      submissions,
      cancel: (id, request) => runner.cancel(id, request),
      proofOf: proofAfterRestart(parts),
      log,
    }),
  )
  awake.count('rollouts', () => rollouts.running)

  const previewMark = markOf(parts.key)
  const claims = new Claims({ fly, store, log })
  const kept = { ...parts, ...config.deployer, submissions, claims, mark: previewMark, awake, log }
  const previews = opening.use(openPreviewKeeper(kept, config.previews))

  const status = openStatus({ ...parts, awake, previews }, config)
  const doctor = openDoctor({ ...parts, config, status, records: { store, vault } })
  const { cache } = parts.buildkit
  cache.shares = {
    teamOf: (app) => store.teams.teamOf(app),
    percentOf: (team) => store.quotas.limitOf(team, 'cache-percent'),
  }
  const limits = {
    claims,
    gatewayLimits: gatewayLimits(config),
    previewLimits: config.previews,
    prices: config.prices,
    previewMark,
    queueLimits: config.limits,
    mayStart: () => parts.network.open,
    org: config.deployer.org,
    checkTemplate: templateChecker(config.previews),
  }
  const opened = { rollouts, status, doctor, cache, log, ...limits }
  const commands = openCommands({ ...parts, ...opened })
  const isOnFly = async (app: string) =>
    (await fly.app(app, AbortSignal.timeout(askFlyMs))) !== null
  const hasSource = (digest: string) => parts.sources.has(digest)
  return openGuarded(commands, { ...parts, isOnFly, hasSource, log, secrets: config.secrets })
}

/** Listens for callers, as the last part that opens. */
async function openServer(
  { config, log, opening, awake }: Opening,
  parts: Parts & Running & { commands: GuardedCommands },
) {
  const { buildkit, planner, disk, sources, store, integrity, network, flyAccess, drain } = parts
  const { authenticate, sourceOf, sessions, commands, images, drift, stopping, admission } = parts

  return opening.use(
    await listen(
      commands,
      {
        store,
        awake,
        admission,
        receive: (body, more) => awake.during('uploads', () => sources.receive(body, more)),
        assertAccepting(upload) {
          using taking = new DisposableStack()
          taking.use(drain.upload())
          if (!upload.forLater) network.assertAccepting()
          taking.use(disk.reserve(upload))
          return taking.move()
        },
        appDefaults: {
          region: config.fly.region,
          builds: config.limits.appBuilds,
          owners: config.owners,
          ...config.keep,
          ...config.appTimes,
        },
        appWarnings: async (app) => [...images.warningsOf(app), ...(await drift.warningsOf(app))],
        readiness: () => readiness({ buildkit, planner, network, disk, integrity, fly: flyAccess }),
        authenticate,
        sourceOf,
        sessionOf: (cookie) => sessions.find(cookie),
        currency: config.prices?.currency ?? null,
        log,
        stopping,
        maxUploadBytes: config.source.uploadBytes,
      },
      config.http,
    ),
  )
}
