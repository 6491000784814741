import { randomUUID } from 'node:crypto'
import { Problem } from '#api/problem.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import { ImageAccess } from '../registry/image-access.ts'
import { BuildPolicy } from './build-policy.ts'
import type { Build, SolveOptions, Solved } from './build.ts'
import { BuildCache, type BuildCacheOptions } from './cache/build-cache.ts'
import { Connection } from './connection.ts'
import { ContextServer, type Context, urlsOf } from './context/context-server.ts'
import { daemonUnavailable, failedStep, solveProblem } from './failures.ts'
import { followStatus, type Heard } from './follow-status.ts'
import { ImagePolicy, type ImageRules } from './image-policy.ts'
import { DiskUsage, ListWorkers, type PolicyQuestion, Solve, Status } from './messages.ts'
import { Progress } from './progress.ts'
import { Session, type Login } from './session.ts'
import { requestOf } from './solve-request.ts'
import { readStepRecord } from './steps/step-records.ts'
import { StepWatch } from './steps/step-watch.ts'
import { hasPrivileged } from '../host/privileged/ask.ts'

/** The login that an app's builds use for a repository of a registry. Null: anonymous. */
export type LoginFor = (app: string, host: string, repository: string) => ReturnType<Login>

type BuildkitOptions = {
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
  /** Registries beyond those on loopback that speak plain HTTP. */
  plainHttp?: readonly string[]
  /** The root folder of the daemon, if it is on this machine. */
  root?: string
  /** By default the cache has no limits, and what apps used is forgotten at the end. */
  cache?: BuildCacheOptions
}

const noLimits: BuildCacheOptions = { file: null, limits: async () => null, log: null }
const infoMs = 5000

/**
 * The build daemon. Solves run at the same time. Aborting the signal of a solve stops its steps.
 */
export class Buildkit {
  readonly cache: BuildCache
  readonly #connection: Connection
  readonly #contexts: ContextServer
  readonly #loginFor: LoginFor
  readonly #access: ImageAccess
  readonly #images: ImagePolicy
  readonly #root: string | null
  readonly #watch: StepWatch | null
  #solving = 0

  private constructor({ connection, cache, contexts }: Parts, options: BuildkitOptions) {
    this.#connection = connection
    this.cache = cache
    this.#contexts = contexts
    this.#loginFor = options.loginFor
    const { loginFor, images, mirrors } = options
    this.#access = new ImageAccess({
      loginFor,
      own: images.own,
      mirrors: mirrors ?? {},
      plainHttp: options.plainHttp ?? [],
      keepMs: images.refreshMs,
    })
    this.#images = new ImagePolicy({ ...images, daemonAsks: mirrors === undefined }, this.#access)
    this.#root = options.root ?? null
    // The privileged process has its own: ending a step needs root.
    this.#watch = this.#root === null || hasPrivileged() ? null : new StepWatch(this.#root)
  }

  /** Succeeds even if the daemon is unavailable: `info` reports that. */
  static async open(options: BuildkitOptions): Promise<Buildkit> {
    const connection = new Connection(options.address)
    const cache = await BuildCache.open(connection, options.cache ?? noLimits)
    const contexts = await ContextServer.open(options.contextPort, options.key)
    return new Buildkit({ connection, cache, contexts }, options)
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
  async warmCache(app: string, definition: Uint8Array, signal: AbortSignal): Promise<void> {
    const use = this.cache.enter(app)
    this.#solving++
    try {
      await this.#connection.ask(Solve, { ref: randomUUID(), definition, internal: true }, signal)
    } finally {
      this.#solving--
      use.end()
    }
  }

  /** Builds and pushes. Throws a Problem, or the signal's reason. */
  async solve(build: Build, options: SolveOptions, signal: AbortSignal): Promise<Solved> {
    signal.throwIfAborted()
    const { ref, app, secrets, emit } = options

    if ('dockerfile' in build && build.dockerfile.frontend)
      this.#images.checkFrontend(build.dockerfile.frontend)

    const contextUrls = urlsOf(build.context)
    const policy = new BuildPolicy(this.#images, { app, contextUrls, refresh: options.rebuild })
    const plain = (text: string) =>
      policy.withoutDigests(contextUrls.reduce((said, url) => said.replaceAll(url, 'source'), text))
    const use = this.cache.enter(app, { ...options, cacheKey: cacheKeyOf(build, options) })
    const recordOf = (name: string) => (this.#root ? readStepRecord(this.#root, name) : null)
    const progress = new Progress({ emit, pushing: use.pushing, plain, recordOf })
    const login = loginIn(options, policy, this.#loginFor)
    const check = (question: PolicyQuestion) => {
      crashPoint('solve-sent')
      return policy.check(question, signal)
    }

    await using session = new Session(this.#connection, { login, secrets, policy: check })
    const heard = followStatus(this.#connection.watch(Status, { ref }), progress)

    const inSession = { ref, session: session.id, sourcePolicySession: session.id, internal: true }
    const question = { ...inSession, ...requestOf(build, options) }

    this.#solving++
    let stopped: string[] = [] // the steps that ran at the abort: the daemon ends them soon
    signal.addEventListener('abort', () => (stopped = progress.running()), { once: true })

    try {
      const solved = this.#connection.ask(Solve, question, signal).finally(use.end)
      const { exporterResponse } = await allHeard(solved, { heard, progress, signal })
      crashPoint('pushed')
      return {
        digest: exporterResponse['containerimage.digest'] ?? '',
        stats: progress.stats(),
        bases: policy.bases(),
        validUntil: policy.validUntil(),
      }
    } catch (error) {
      if (signal.aborted && stopped.length > 0) {
        emit({ type: 'note', text: `Stopped while this ran: ${stopped.join('; ')}` })
        throw stoppedAt(stopped[0]!, signal.reason)
      }
      signal.throwIfAborted()
      const changed = build.context?.changed(error) ?? null
      const problem =
        policy.refused() ??
        build.context?.problem() ??
        solveProblem(error, { progress, plain, root: this.#root, changed })
      // The name may point to another digest since the pinned one was deleted.
      if (problem.code === 'image-not-found') policy.forget()
      throw problem
    } finally {
      use.end()
      this.#solving--
      options.ended?.(progress.stats())
    }
  }

  /** No build runs now. */
  get isIdle(): boolean {
    return this.#solving === 0
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cache[Symbol.asyncDispose]()
    this.#connection.close()
    await this.#access[Symbol.asyncDispose]()
    await this.#watch?.[Symbol.asyncDispose]()
    await this.#contexts[Symbol.asyncDispose]()
  }
}

type Parts = { connection: Connection; cache: BuildCache; contexts: ContextServer }

const cacheKeyOf = (build: Build, { cacheKey }: SolveOptions) =>
  'dockerfile' in build ? build.cacheKey : cacheKey
const loginIn =
  ({ app, pushLogin }: SolveOptions, policy: BuildPolicy, loginFor: LoginFor): Login =>
  (host) =>
    (host === pushLogin?.host && pushLogin.login) || loginFor(app, host, policy.repositoryAt(host))

/** The reason of an abort. If it was too late, it names the step that took so long. */
function stoppedAt(step: string, reason: unknown): unknown {
  if (!(reason instanceof Problem) || reason.code !== 'time-limit') return reason
  const detail = `${reason.message} It was at the step “${step}”.`
  return new Problem(reason.code, detail, { cause: reason, facts: { ...reason.facts, step } })
}

/** Returns the end of a solve when its log is complete. */
async function allHeard<T>(
  solve: Promise<T>,
  { heard, progress, signal }: { heard: Heard; progress: Progress; signal: AbortSignal },
): Promise<T> {
  const [solved] = await Promise.allSettled([solve])
  const failed = solved.status === 'rejected' ? failedStep(solved.reason) : null
  // After a success, the daemon always ends the stream. After a failure that names no step, nothing
  // more may come.
  const isComplete = () =>
    solved.status === 'rejected' && (failed === null || progress.hasEnded(failed))
  await heard({ isComplete, signal })
  if (solved.status === 'rejected') throw solved.reason
  return solved.value
}
