import { randomUUID } from 'node:crypto'
import type { SourceTree } from '../deployments/source-tree.ts'
import { crashPoint } from '../crash-point.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import { Connection } from './connection.ts'
import { ContextServer, type Context } from './context/context-server.ts'
import { ImageAccess } from '../registry/image-access.ts'
import type { Dockerfile } from './dockerfile.ts'
import { daemonUnavailable, solveProblem } from './failures.ts'
import { followStatus } from './follow-status.ts'
import { ImagePolicy, type ImageRules } from './image-policy.ts'
import { DiskUsage, ListWorkers, type PolicyQuestion, Prune, Solve, Status } from './messages.ts'
import { Progress, type BuildStats } from './progress.ts'
import { Session, type Login, type SessionSecrets } from './session.ts'
import { StepWatch } from './step-watch.ts'

/** What to build: a graph of ours with its image's configuration, or a Dockerfile of the context. */
export type Build =
  | { definition: Uint8Array; image: ImageConfig; context: Context | null }
  | {
      dockerfile: Dockerfile
      target: string | null
      buildArgs: Record<string, string>
      /** As in `linux/arm64`. */
      platform: string
      /** Stands before the ids of cache mounts, so that they are the app's own. */
      cacheKey: string
      /** Steps get it as their machine's name: those of two names never share a result. Empty: the usual one. */
      hostname?: string
      context: Context
    }
/** An OCI image configuration; labels are added to its `config`. */
export type ImageConfig = {
  config?: { Labels?: Record<string, string> } & Record<string, unknown>
} & Record<string, unknown>

export type SolveOptions = {
  /** Never used before: the daemon refuses a name that it knows. */
  ref: string
  app: string
  /** `host/repository:tag`, each pushed; none: what the steps make is left in the cache. */
  names: readonly string[]
  labels: Record<string, string>
  /** Of the manifest. */
  annotations?: Record<string, string>
  secrets: SessionSecrets
  /** Run every step of a Dockerfile again, whatever is cached; and look up anew what the images' names stand for. */
  rebuild: boolean
  /** `host/repository:tag` under which the build cache is kept in a registry, if at all. */
  cache: string | null
  emit: EventSink
  /** Called once, when the push begins; not at all when the solve fails before. */
  pushing: () => void
}
export type Solved = {
  digest: string
  stats: BuildStats
  /** The images that it started from: the digest that each name stood for. */
  bases: Record<string, string>
  /** When one of those names must be looked up again (milliseconds since 1970); null: never. */
  validUntil: number | null
}
/** Who an app's builds are at a registry; null: anybody. */
export type LoginFor = (app: string, host: string) => ReturnType<Login>

export type BuildkitOptions = {
  /** `unix:///…` */
  address: string
  contextPort: number
  key: Uint8Array
  loginFor: LoginFor
  images: Omit<ImageRules, 'daemonAsks'>
  /** Places that the daemon tries before a registry, by the registry's host; not given where the daemon is not ours. */
  mirrors?: Record<string, string[]>
  /** The folder of the daemon's cache, where it is on this machine. */
  root?: string
}

const infoMs = 5000

/** The build daemon. Solves run side by side; cancelling the signal of one stops its steps. */
export class Buildkit {
  readonly #connection: Connection
  readonly #contexts: ContextServer
  readonly #loginFor: LoginFor
  readonly #access: ImageAccess
  readonly #images: ImagePolicy
  readonly #root: string | null
  readonly #watch: StepWatch | null
  #solving = 0

  private constructor(contexts: ContextServer, options: BuildkitOptions) {
    this.#connection = new Connection(options.address)
    this.#contexts = contexts
    this.#loginFor = options.loginFor
    const { loginFor, images, mirrors } = options
    this.#access = new ImageAccess({
      loginFor,
      own: images.own,
      mirrors: mirrors ?? {},
      keepMs: images.refreshMs,
    })
    this.#images = new ImagePolicy({ ...images, daemonAsks: mirrors === undefined }, this.#access)
    this.#root = options.root ?? null
    this.#watch = this.#root === null ? null : new StepWatch(this.#root)
  }

  /** Opens although the daemon is away: that shows in `info`. */
  static async open(options: BuildkitOptions): Promise<Buildkit> {
    return new Buildkit(await ContextServer.open(options.contextPort, options.key), options)
  }

  /** Proves that the daemon answers and has a worker; else `buildkit-unavailable`. Platforms are like `linux/amd64`. */
  async info(signal: AbortSignal): Promise<{ version: string; platforms: string[] }> {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(infoMs)])
    const { workers } = await this.#connection
      .ask(ListWorkers, {}, deadline)
      .catch((error: unknown) => {
        signal.throwIfAborted()
        throw daemonUnavailable(error)
      })
    const [worker] = workers
    if (!worker?.version) throw daemonUnavailable(new Error('it has no worker'))
    const platforms = worker.platforms.map(({ os, architecture, variant }) =>
      [os, architecture, variant].filter(Boolean).join('/'),
    )
    return { version: worker.version.version, platforms }
  }

  /** Lets the daemon read a tree until the answer is disposed of. `ignore` are docker-style patterns. */
  serveContext(app: string, tree: SourceTree, { ignore }: { ignore: readonly string[] }): Context {
    return this.#contexts.serveContext(app, tree, ignore)
  }

  /** False when it is known that one of these images' names stands for another digest by now. */
  pinsAreCurrent(app: string, bases: Record<string, string>): boolean {
    return this.#images.pinsAreCurrent(app, bases)
  }

  /** Runs a graph for the sake of the cache alone: what a later build of the same finds done. */
  async warmCache(definition: Uint8Array, signal: AbortSignal): Promise<void> {
    this.#solving++
    try {
      await this.#connection.ask(Solve, { ref: randomUUID(), definition, internal: true }, signal)
    } finally {
      this.#solving--
    }
  }

  /** Builds and pushes, or throws a Problem, or the signal's reason. */
  async solve(build: Build, options: SolveOptions, signal: AbortSignal): Promise<Solved> {
    signal.throwIfAborted()
    const { ref, app, secrets, emit, pushing } = options
    if ('dockerfile' in build && build.dockerfile.frontend)
      this.#images.checkFrontend(build.dockerfile.frontend)
    const contextUrl = build.context?.url ?? null
    const policy = this.#images.forBuild(app, contextUrl, options.rebuild)
    const plain = (text: string) =>
      policy.withoutDigests(contextUrl ? text.replaceAll(contextUrl, 'source') : text)
    const progress = new Progress({ emit, pushing, plain })
    const login: Login = (host) => this.#loginFor(app, host)
    const check = (question: PolicyQuestion) => {
      crashPoint('solve-sent')
      return policy.check(question, signal)
    }
    await using session = new Session(this.#connection, { login, secrets, policy: check })
    const heard = followStatus(this.#connection.watch(Status, { ref }), progress)
    this.#solving++
    let stopped: string[] = [] // what ran when the signal came: soon the daemon has ended it
    signal.addEventListener('abort', () => (stopped = progress.running()), { once: true })
    const { id } = session
    const question = {
      ref,
      session: id,
      sourcePolicySession: id,
      internal: true,
      ...requestOf(build, options),
    }
    try {
      const { exporterResponse } = await this.#connection
        .ask(Solve, question, signal)
        .finally(() => heard(signal))
      crashPoint('pushed')
      const digest = exporterResponse['containerimage.digest'] ?? ''
      return {
        digest,
        stats: progress.stats(),
        bases: policy.bases(),
        validUntil: policy.validUntil(),
      }
    } catch (error) {
      if (signal.aborted && stopped.length > 0)
        emit({ type: 'note', text: `Stopped while this ran: ${stopped.join('; ')}` })
      signal.throwIfAborted()
      const refused = policy.refused() ?? build.context?.problem()
      if (refused?.code === 'image-not-found') policy.forget()
      if (refused) throw refused
      const changed = build.context?.changed() ?? null
      const problem = solveProblem(error, { progress, plain, root: this.#root, changed })
      if (problem.code === 'image-not-found') policy.forget() // a name may have moved on from a digest that is gone
      throw problem
    } finally {
      this.#solving--
    }
  }

  /**
   * What the daemon holds although nothing is being built: of a step that was stopped it keeps what that wrote, and no
   * pruning removes it before the daemon starts anew.
   */
  async leakedBytes(signal: AbortSignal): Promise<number> {
    const { records } = await this.#connection.ask(DiskUsage, {}, signal)
    if (this.#solving > 0) return 0
    return records.reduce((sum, { inUse, sizeBytes }) => sum + (inUse ? sizeBytes : 0), 0)
  }

  /** Removes caches until this much of the disk is free. Not to be broken off: half a removal may cost the other half. */
  prune(minFreeBytes: number): Promise<void> {
    const removed = this.#connection.watch(Prune, { all: true, minFreeBytes })
    return new Promise((resolve, reject) => {
      removed
        .on('data', () => {})
        .on('end', resolve)
        .on('error', (error) => reject(daemonUnavailable(error)))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.close()
    await this.#access[Symbol.asyncDispose]()
    await this.#watch?.[Symbol.asyncDispose]()
    await this.#contexts[Symbol.asyncDispose]()
  }
}

function requestOf(
  build: Build,
  { names, labels, annotations = {}, rebuild, cache }: SolveOptions,
) {
  const attrs = {
    name: names.join(','),
    push: 'true',
    'oci-mediatypes': 'true',
    compression: 'zstd', // three times as fast as gzip, and smaller; layers of the base stay as they are
    ...Object.fromEntries(
      Object.entries(annotations).map(([name, value]) => [`annotation.${name}`, value]),
    ),
  }
  const imports = cache ? [{ type: 'registry', attrs: { ref: cache } }] : []
  const kept = { mode: 'max', 'ignore-error': 'true', compression: 'zstd' }
  const exports = imports.map(({ type, attrs: { ref } }) => ({ type, attrs: { ref, ...kept } }))
  if ('definition' in build) {
    const config = { ...build.image, config: withLabels(build.image.config, labels) }
    return {
      definition: build.definition,
      cache: { imports, exports },
      exporters:
        names.length > 0
          ? [
              {
                type: 'image',
                attrs: { ...attrs, 'containerimage.config': JSON.stringify(config) },
              },
            ]
          : [],
    }
  }
  const { frontend, path } = build.dockerfile
  // A frontend that finds `cmdline` takes the syntax for looked after, and never goes where the Dockerfile points.
  const reader = frontend ? { source: frontend, cmdline: frontend } : { cmdline: 'dockerfile.v0' }
  // Names of BuildKit's own among the arguments are orders to the builder, and the sender has none to give.
  const own = Object.entries(build.buildArgs).filter(([name]) => !name.startsWith('BUILDKIT_'))
  const buildArgs = { ...Object.fromEntries(own), BUILDKIT_CACHE_MOUNT_NS: build.cacheKey }
  return {
    frontend: frontend ? 'gateway.v0' : 'dockerfile.v0',
    frontendAttrs: {
      context: build.context.url,
      filename: path,
      platform: build.platform,
      ...reader,
      ...(build.target && { target: build.target }),
      ...(build.hostname && { hostname: build.hostname }),
      ...(rebuild && { 'no-cache': '' }),
      ...(cache && {
        'cache-imports': JSON.stringify(
          imports.map(({ type, attrs }) => ({ Type: type, Attrs: attrs })),
        ),
      }),
      ...Object.fromEntries([...prefixed('build-arg', buildArgs), ...prefixed('label', labels)]),
    },
    cache: { imports: [], exports },
    exporters: [{ type: 'image', attrs }],
  }
}

const prefixed = (prefix: string, values: Record<string, string>) =>
  Object.entries(values).map(([name, value]) => [`${prefix}:${name}`, value] as const)

const withLabels = (config: ImageConfig['config'], labels: Record<string, string>) => ({
  ...config,
  Labels: { ...config?.Labels, ...labels },
})
