import { templateChecker } from '../../gateway/src/deploy/config/check-template.ts'
import { Awake } from '../../gateway/src/awake/awake.ts'
import { openPreviewKeeper } from '../../gateway/src/previews/open-keeper.ts'
import { Admission } from '../../gateway/src/callers/admission.ts'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { isFinal, type Deployment, type ImageFacts } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import type { PriceTable } from '#api/status/prices.ts'
import type { Rollout } from '#api/rollout.ts'
import { Drift } from '../../gateway/src/drift/drift.ts'
import { ExposureApi } from '#fly/exposure/exposure-api.ts'
import { Deployer } from '../../gateway/src/deploy/deployer.ts'
import { ReleaseWatch } from '../../gateway/src/deploy/release-health/watch-releases.ts'
import { follow } from '../../gateway/src/deployments/follow.ts'
import type { SourceTree } from '../../gateway/src/deployments/source-tree.ts'
import { MachinesApi } from '#fly/machines-api.ts'
import { MetricsApi } from '#fly/metrics/metrics-api.ts'
import { ReleasesApi } from '#fly/releases-api.ts'
import { overUndici } from '#fly/undici-transport.ts'
import { openLog } from '../../gateway/src/log.ts'
import type { AuditTrail } from '../../gateway/src/deployments/audit/audit-trail.ts'
import type { Commands } from '../../gateway/src/commands/commands.ts'
import { Claims } from '../../gateway/src/commands/previews/claims.ts'
import { Drain } from '../../gateway/src/commands/drain.ts'
import { type CommandDeps, openCommands } from '../../gateway/src/commands/open-commands.ts'
import { Copies } from '../../gateway/src/store/copies/copies.ts'
import { makeSteps } from '../../gateway/src/pipeline/make-steps.ts'
import { OwnerRoutes } from '../../gateway/src/commands/router/owner-routes.ts'
import { Rollouts } from '../../gateway/src/commands/rollouts.ts'
import { Runner } from '../../gateway/src/pipeline/runner.ts'
import { Submissions } from '../../gateway/src/commands/submissions.ts'
import { Uploads } from '../../gateway/src/sources/uploads/uploads.ts'
import { SealingKeys } from '../../gateway/src/secrets/sealing.ts'
import { Vault } from '../../gateway/src/secrets/vault.ts'
import { Registry } from '../../gateway/src/registry/registry.ts'
import type { OwnersSetting } from '#api/options/owners-setting.ts'
import { ownerAppName } from '../../gateway/src/deployments/owners/owner-names.ts'
import { openSqliteStore } from '../../gateway/src/store/sqlite.ts'
import { FakeFly } from '../fakes/machines-api.ts'
import { FakeRegistry } from '../fakes/registry.ts'
import { authorization, startHttp, openTestCallers } from './http/start-http.ts'

type Store = ReturnType<typeof openSqliteStore>
type Answer<T> = { status: number; body: T }
/** What the machines of previews have. */
const previewSettings = {
  readyMs: 3000,
  memoryMb: 512,
  maxMemoryMb: 2048,
  cpus: 1,
  cpuKind: 'shared' as const,
  port: 8080,
}

type Settings = {
  publicIps?: 'report' | 'release'
  watchMs?: number
  deploys?: number
  flyToml?: string
  /** Registers deployments with Fly. */
  registers?: boolean
  /** The machine of the gateway. */
  builder?: string | null
  prices?: PriceTable | null
  /** Whether it can keep secrets. */
  hasKey?: boolean
  /** How often previews are compared with Fly. */
  sweepMs?: number
  /** Where owners' machines are. */
  owners?: OwnersSetting
}

/**
 * A gateway for existing images, assembled as `gateway.ts` does it. Fly and the registry are fakes.
 */
export async function startMachines({
  publicIps = 'report',
  watchMs = 0,
  deploys = 16,
  flyToml = '',
  registers = false,
  builder = null,
  prices = null,
  hasKey = false,
  sweepMs = 3_600_000,
  owners = 'shared-app',
}: Settings = {}) {
  await using opening = new AsyncDisposableStack()
  const fake = opening.use(await FakeFly.start())
  const images = opening.use(await FakeRegistry.start())
  const fly = opening.use(new MachinesApi(overUndici(fake.url, 'secret')))
  const registry = opening.use(new Registry({ host: images.host, login: null, insecure: true }))
  const releases = opening.use(new ReleasesApi(overUndici(fake.url, 'secret')))
  const metrics = opening.use(new MetricsApi(overUndici(fake.url, 'secret'), 'personal'))
  const [machinesAt, webAt] = [overUndici(fake.url, 'secret'), overUndici(fake.url, 'secret')]
  const exposure = opening.use(new ExposureApi({ machines: machinesAt, web: webAt }))
  const deployer = new Deployer({
    fly,
    releases: registers ? releases : null,
    org: 'personal',
    network: null,
    builder,
    urlTemplate: 'http://{app}.flycast',
    ownerUrlTemplate: 'http://{owner}.{app}.internal:{port}',
    watchMs,
    proxyMs: 20,
    waitMs: 3000,
    logWaitMs: 0,
    listenMs: 0,
  })
  const log = openLog('silent')
  const store: Store = opening.use(
    openSqliteStore(':memory:', {
      owners: { setting: owners, nameOf: (target) => ownerAppName(new Uint8Array(32), target) },
    }),
  )
  const source = { digest: 'sha256:aa', files: 1, sizeBytes: 0 }
  const root = await mkdtemp(join(tmpdir(), 'tarmac-source-'))
  opening.defer(() => rm(root, { recursive: true }))
  await writeFile(join(root, 'fly.toml'), flyToml)
  const entries = [{ type: 'file', path: 'fly.toml' }] as unknown as SourceTree['entries']
  const sources = {
    tree: async (): Promise<SourceTree> => ({ ...source, root, entries }),
    receive: async (body: Readable) => {
      body.destroy()
      return source
    },
    use: () => {},
    join: () => {},
    forget: async () => {},
    receiveTree: () => Promise.reject(new Error('nothing is unpacked here')),
    receivePack: () => Promise.reject(new Error('nothing is unpacked here')),
  }
  const uploads = opening.use(
    await Uploads.open({ dir: root, keepMs: 60_000, perCaller: 10, maxBytes: () => 2 ** 30 }),
  )
  // Nothing is built here: the modules that build are absent.
  const vault = new Vault(store, new SealingKeys(hasKey ? new Uint8Array(32) : null))
  const admission = new Admission(store)
  const submissions = new Submissions({
    store,
    vault,
    sources,
    uploads,
    registry,
    registryHost: images.host,
    namedRegistries: new Set(),
    admission,
    assertAccepting: () => {},
  })
  const ownerRoutes = opening.use(new OwnerRoutes({ store, deployer, submissions, log }))
  const deps = {
    vault,
    sources,
    registry,
    store,
    fly,
    deployer,
    ownerRoutes,
  } as unknown as Parameters<typeof makeSteps>[0]
  const settings = {
    region: 'fra',
    previews: previewSettings,
    publicIps,
    routerUrl: 'http://{app}-router.flycast/~{owner}/',
    plansDir: '/tmp/plans',
    key: new Uint8Array(32),
  }
  const steps = makeSteps(deps, settings as unknown as Parameters<typeof makeSteps>[1])
  const limits = {
    fetchMs: 1000,
    totalMs: 600_000,
    planMs: 1000,
    buildMs: 1000,
    deployMs: 120_000,
    unavailableMs: 1000,
    // Nothing is built here: a test builds by `build`.
    builds: 0,
    appBuilds: 0,
    deploys,
    drainMs: 0,
    deaths: 3,
  }
  const claims = new Claims({ fly, store, log })
  const previewLimits = {
    perOwner: 3,
    all: 100,
    pooled: 4,
    ttlMs: 3_600_000,
    readyMs: 3000,
    image: '',
  }
  const start = async () => {
    const runner = await Runner.start({
      store,
      steps,
      log,
      limits,
      hiddenValues: () => [],
      boot: '',
    })
    const rollouts = await Rollouts.start({
      proofOf: () => undefined,
      store,
      submissions,
      cancel: (id, request) => runner.cancel(id, request),
      log,
    })
    const drain = new Drain({ store, runner, log })
    const copies = await Copies.open(await mkdtemp(join(tmpdir(), 'tarmac-copies-')), () => {})
    return { runner, rollouts, drain, copies }
  }
  let parts = await start()
  // Nothing is built here, so there is no cache.
  const cache = {
    usage: () => Promise.reject(new Error('there is no build daemon')),
    remove: async () => ({ removedBytes: 0, keptBytes: 0 }),
  }
  const plans = { forget: async () => 0 }
  const { rules, tokens, sessions } = await openTestCallers([], store)
  /** The commands of the gateway that runs now: it may be started again. */
  const commandsOf = (now: () => typeof parts): Commands => {
    const status = { version: 'test', startedAt: new Date(), readers: {} }
    const doctor = () => Promise.reject(new Error('not part of this test'))
    const trail = null as unknown as AuditTrail
    const registries = null as unknown as CommandDeps['registries']
    const loginTester = null as unknown as CommandDeps['loginTester']
    const none = {
      cache,
      plans,
      status,
      doctor,
      rules,
      admission,
      gatewayLimits: [],
      queueLimits: { builds: 2, appBuilds: 1, deploys: 2 },
      mayStart: () => true,
      trail,
      registries,
      loginTester,
      previewLimits,
      prices,
      claims,
      previewMark: 'test',
      org: 'personal',
      checkTemplate: templateChecker(previewSettings),
    }
    const drift = new Drift({ fly, exposure, store, log })
    const made = {
      ...none,
      submissions,
      ownerRoutes,
      sources,
      uploads,
      registry,
      registryHost: images.host,
    }
    const own = { ...made, tokens, sessions, store, vault, fly, metrics, deployer, drift, log }
    const open = () => openCommands({ ...own, ...now() })
    return new Proxy({} as Commands, {
      // Nothing is built here: a submitted source waits until the test builds it. The server has the
      // audit trail.
      ownKeys: () => Object.keys(open()).filter((name) => name !== 'submit' && name !== 'audit'),
      getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
      get(_, name: keyof Commands) {
        if (typeof open()[name] === 'object') return open()[name]
        return (...asked: never[]) => (open()[name] as (...asked: never[]) => unknown)(...asked)
      },
    })
  }
  const keeping = {
    store,
    fly,
    deployer,
    org: 'personal',
    mark: 'test',
    claims,
    submissions,
    runner: { cancel: (...of: Parameters<Runner['cancel']>) => parts.runner.cancel(...of) },
  }
  const keeper = openPreviewKeeper(
    { ...keeping, awake: new Awake(), log },
    { sweepMs, pooled: previewLimits.pooled },
  )
  const stop = async () => {
    await keeper[Symbol.asyncDispose]()
    await parts.rollouts[Symbol.asyncDispose]()
    await parts.runner[Symbol.asyncDispose]()
  }
  opening.defer(stop)
  const server = opening.use(
    await startHttp({ store, currency: prices?.currency ?? null, ...commandsOf(() => parts) }),
  )
  const open = opening.move()

  const call = async <T>(
    method: string,
    path: string,
    body?: object,
    headers = {},
  ): Promise<Answer<T>> => {
    const answer = await fetch(server.url + path, {
      method,
      headers: {
        ...authorization,
        ...(body && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    return { status: answer.status, body: (text === '' ? null : JSON.parse(text)) as T }
  }
  const ended = async (id: string): Promise<Deployment & { log: DeploymentEvent[] }> => {
    const events = await Array.fromAsync(follow(store, id, 0, AbortSignal.timeout(60_000)))
    const record = (await store.find(id))!
    if (!isFinal(record.state)) throw new Error(`${id} is ${record.state} still`)
    return { ...record, log: events }
  }
  /** Simulates the copy of an image of another app. */
  const copyFor = async ({ id, app, requestedImage }: Deployment) => {
    const claim = (await store.claim())!
    const digest = images.copy(requestedImage!.reference, app)
    const image = { reference: `${images.host}/${app}@${digest}`, digest, tags: [] }
    await store.advance({ id, epoch: claim.epoch }, 'pushing', 'deploying', { image })
    await parts.runner.resume()
  }
  return {
    url: server.url,
    store,
    source,
    /** The archives that have arrived. */
    received: server.received,
    fly: fake,
    images,
    call,
    ended,
    get: async <T>(path: string) => (await call<T>('GET', path)).body,
    /** The log and the verdict as text. */
    log: async (id: string): Promise<string> => {
      const path = `/v1/deployments/${id}/events`
      const headers = { ...authorization, accept: 'text/plain' }
      return (await fetch(server.url + path, { headers })).text()
    },
    /** Sends `POST …/deployments` with JSON, and waits for the end. */
    deploy: async (app: string, source: object, options: object = {}) => {
      const { body } = await call<Deployment>('POST', `/v1/apps/${app}/deployments`, {
        source,
        ...options,
      })
      if (body.requestedImage && !body.image) await copyFor(body)
      return ended(body.id)
    },
    rolledOut: async (id: string): Promise<Rollout> => {
      for (;;) {
        const rollout = await parts.rollouts.find(id)
        if (rollout.endedAt !== null) return rollout
        await new Promise((done) => setTimeout(done, 20))
      }
    },
    /** Sends a form with these fields, a file among them. */
    form: async <T>(path: string, fields: Record<string, string | Blob>): Promise<Answer<T>> => {
      const body = new FormData()
      for (const [name, value] of Object.entries(fields)) body.append(name, value)
      const answer = await fetch(server.url + path, {
        method: 'POST',
        headers: authorization,
        body,
      })
      return { status: answer.status, body: (await answer.json()) as T }
    },
    /** Simulates the build of a waiting deployment: it ends with this image, or fails. */
    build: async (id: string, image: ImageFacts | null) => {
      const claim = (await store.claim())!
      const holder = { id, epoch: claim.epoch }
      await store.advance(holder, 'fetching', 'analyzing')
      await store.advance(holder, 'analyzing', 'building')
      const problem = new Problem('build-failed', 'npm ci ended with exit code 1.').body()
      await store.advance(
        holder,
        'building',
        image ? 'built' : 'build_failed',
        image ? { image } : { problem },
      )
    },
    /** Simulates the build of a waiting deployment, whose deploy follows. Waits for the end. */
    buildAndDeploy: async (id: string, image: ImageFacts) => {
      const claim = (await store.claim())!
      const holder = { id, epoch: claim.epoch }
      await store.advance(holder, 'fetching', 'analyzing')
      await store.advance(holder, 'analyzing', 'building')
      await store.advance(holder, 'building', 'deploying', { image })
      await parts.runner.resume()
      return ended(id)
    },
    ownerRoutes,
    /** The fly.toml that the next deploys of a source find. */
    writeFlyToml: (text: string) => writeFile(join(root, 'fly.toml'), text),
    /** As a gateway watches releases from its start; the test says when to look. */
    watch: () => new ReleaseWatch({ fly, org: 'personal', releases: store.releases, log }),
    /** Stops the gateway and starts it again. */
    restart: async () => {
      await stop()
      parts = await start()
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}
