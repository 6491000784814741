import { randomUUID } from 'node:crypto'
import type { SourceTree } from '../deployments/source-tree.ts'
import { crashPoint } from '../crash-point.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import { BuildPolicy } from './build-policy.ts'
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

/**
 * What to build: a build graph of ours with its image configuration, or a Dockerfile in the
 * context.
 */
export type Build =
  | { definition: Uint8Array; image: ImageConfig; context: Context | null }
  | {
      dockerfile: Dockerfile
      target: string | null
      buildArgs: Record<string, string>
      /** As in `linux/arm64`. */
      platform: string
      /** Prefix for the ids of cache mounts, so that each app has its own. */
      cacheKey: string
      /**
       * The host name of the steps. Steps with different host names never share a cached result.
       * Empty: the default.
       */
      hostname?: string
      context: Context
    }
/** An OCI image configuration. The client adds labels to its `config`. */
export type ImageConfig = {
  config?: { Labels?: Record<string, string> } & Record<string, unknown>
} & Record<string, unknown>

export type SolveOptions = {
  /** A unique name: the daemon refuses one that was used before. */
  ref: string
  app: string
  /** Tags to push, as `host/repository:tag`. Empty: the results stay in the cache. */
  names: readonly string[]
  labels: Record<string, string>
  /** Annotations of the image manifest. */
  annotations?: Record<string, string>
  secrets: SessionSecrets
  /** Run every step of a Dockerfile again, whatever is cached, and resolve image names again. */
  rebuild: boolean
  /** `host/repository:tag` of a build cache in a registry. Null: no such cache. */
  cache: string | null
  emit: EventSink
  /** Called once, when the push begins. Never called if the solve fails before. */
  pushing: () => void
}
export type Solved = {
  digest: string
  stats: BuildStats
  /** The base images: each name with the digest that it meant. */
  bases: Record<string, string>
  /**
   * When the first of those names must be resolved again, in milliseconds since 1970. Null: never.
   */
  validUntil: number | null
}
/** The login that an app's builds use at a registry. Null: anonymous. */
export type LoginFor = (app: string, host: string) => ReturnType<Login>

export type BuildkitOptions = {
  /** `unix:///…` */
  address: string
  contextPort: number
  key: Uint8Array
  loginFor: LoginFor
  images: Omit<ImageRules, 'daemonAsks'>
  /**
   * Mirrors that the daemon tries before a registry, by the registry's host. Undefined if the
   * gateway does not run the daemon.
   */
  mirrors?: Record<string, string[]>
  /** The root folder of the daemon, if it is on this machine. */
  root?: string
}

const infoMs = 5000

/**
 * The build daemon. Solves run at the same time. Aborting the signal of a solve stops its steps.
 */
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

  /** Succeeds even if the daemon is unavailable: `info` reports that. */
  static async open(options: BuildkitOptions): Promise<Buildkit> {
    return new Buildkit(await ContextServer.open(options.contextPort, options.key), options)
  }

  /**
   * Checks that the daemon answers and has a worker; throws `buildkit-unavailable` otherwise.
   * Platforms are like `linux/amd64`.
   */
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

  /**
   * Lets the daemon read a tree until the caller disposes of the context. `ignore` holds
   * docker-style patterns.
   */
  serveContext(app: string, tree: SourceTree, { ignore }: { ignore: readonly string[] }): Context {
    return this.#contexts.serveContext(app, tree, ignore)
  }

  /** False if the gateway knows that one of these image names means another digest now. */
  pinsAreCurrent(app: string, bases: Record<string, string>): boolean {
    return this.#images.pinsAreCurrent(app, bases)
  }

  /** Runs a graph only to fill the cache, so that a later build of the same graph finds it. */
  async warmCache(definition: Uint8Array, signal: AbortSignal): Promise<void> {
    this.#solving++
    try {
      await this.#connection.ask(Solve, { ref: randomUUID(), definition, internal: true }, signal)
    } finally {
      this.#solving--
    }
  }

  /** Builds and pushes. Throws a Problem, or the signal's reason. */
  async solve(build: Build, options: SolveOptions, signal: AbortSignal): Promise<Solved> {
    signal.throwIfAborted()
    const { ref, app, secrets, emit, pushing } = options

    if ('dockerfile' in build && build.dockerfile.frontend)
      this.#images.checkFrontend(build.dockerfile.frontend)

    const contextUrl = build.context?.url ?? null
    const policy = new BuildPolicy(this.#images, { app, contextUrl, refresh: options.rebuild })
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
    let stopped: string[] = [] // the steps that ran at the abort: the daemon ends them soon
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
      // The name may point to another digest since the pinned one was deleted.
      if (problem.code === 'image-not-found') policy.forget()
      throw problem
    } finally {
      this.#solving--
    }
  }

  /**
   * The bytes that the daemon holds while no build runs. The daemon keeps the files of a stopped
   * step. No pruning removes them before the daemon restarts.
   */
  async leakedBytes(signal: AbortSignal): Promise<number> {
    const { records } = await this.#connection.ask(DiskUsage, {}, signal)
    if (this.#solving > 0) return 0
    return records.reduce((sum, { inUse, sizeBytes }) => sum + (inUse ? sizeBytes : 0), 0)
  }

  /**
   * Removes build caches until this many bytes of the disk are free. It cannot be cancelled: a
   * removal that stops halfway may cost the other half.
   */
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
    // Three times as fast as gzip, and smaller; base layers keep their compression.
    compression: 'zstd',
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
  // A frontend that gets `cmdline` treats the syntax line as handled. It does not load the image
  // that the Dockerfile names.
  const reader = frontend ? { source: frontend, cmdline: frontend } : { cmdline: 'dockerfile.v0' }
  // Build arguments that begin with `BUILDKIT_` control the builder. The sender must not set them.
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
