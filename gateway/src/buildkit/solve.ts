import { createHash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { SourceTree } from '../deployments/source-tree.ts'
import type { Tell } from '../deployments/tell.ts'
import { outOfMemoryKills } from '../host/out-of-memory.ts'
import { Connection } from './connection.ts'
import { ContextServer, type Context } from './context-server.ts'
import type { Dockerfile } from './dockerfile.ts'
import { daemonAway, solveProblem } from './failures.ts'
import { Definition, DiskUsage, IgnoreCache, ListWorkers, Prune, Solve, Status } from './messages.ts'
import { Progress, type BuildStats } from './progress.ts'
import type { LogLimits } from './step-log.ts'
import { Session, type Login } from './session.ts'

/** What to build: a graph of ours with its image's configuration, or a Dockerfile of the context. */
export type Build =
  | { definition: Uint8Array; image: ImageConfig; context: Context | null }
  | { dockerfile: Dockerfile; target?: string; buildArgs: Record<string, string>; context: Context }
/** An OCI image configuration; labels are added to its `config`. */
export type ImageConfig = { config?: { Labels?: Record<string, string> } & Record<string, unknown> } & Record<
  string,
  unknown
>

export type SolveOptions = {
  /** Never used before: the daemon refuses a name that it knows. */
  ref: string
  /** `host/repository:tag`, each pushed. */
  names: readonly string[]
  labels: Record<string, string>
  secrets: Map<string, string>
  /** Run every step again, whatever is cached. */
  rebuild: boolean
  tell: Tell
  /** Called once, when the push begins; not at all when the solve fails before. */
  pushing: () => void
}
export type Solved = { digest: string; names: readonly string[]; stats: BuildStats }

export type BuildkitOptions = {
  /** `unix:///…` */
  address: string
  contextPort: number
  key: Uint8Array
  login: Login
  logLimits?: LogLimits
}

const defaultLimits: LogLimits = { stepBytes: 4 * 2 ** 20, buildBytes: 32 * 2 ** 20 }
const infoMs = 5000
const silenceMs = 5000
/** How long to wait for more news when every step that began has ended. */
const settledMs = 100

/** The build daemon. Solves run side by side; cancelling the signal of one stops its steps. */
export class Buildkit {
  readonly #connection: Connection
  readonly #contexts: ContextServer
  readonly #login: Login
  readonly #logLimits: LogLimits
  #solving = 0

  private constructor(contexts: ContextServer, { address, login, logLimits = defaultLimits }: BuildkitOptions) {
    this.#connection = new Connection(address)
    this.#contexts = contexts
    this.#login = login
    this.#logLimits = logLimits
  }

  /** Opens although the daemon is away: that shows in `info`. */
  static async open(options: BuildkitOptions): Promise<Buildkit> {
    return new Buildkit(await ContextServer.open(options.contextPort, options.key), options)
  }

  /** Proves that the daemon answers and has a worker; else `buildkit-unavailable`. */
  async info(signal: AbortSignal): Promise<{ version: string }> {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(infoMs)])
    const { workers } = await this.#connection.ask(ListWorkers, {}, deadline).catch((error: unknown) => {
      signal.throwIfAborted()
      throw daemonAway(error)
    })
    const version = workers[0]?.version?.version
    if (version === undefined) throw daemonAway(new Error('it has no worker'))
    return { version }
  }

  /** Lets the daemon read a tree until the answer is disposed of. `ignore` are docker-style patterns. */
  offer(app: string, tree: SourceTree, { ignore }: { ignore: readonly string[] }): Context {
    return this.#contexts.offer(app, tree, ignore)
  }

  /** Builds and pushes, or throws a Problem, or the signal's reason. */
  async solve(build: Build, options: SolveOptions, signal: AbortSignal): Promise<Solved> {
    signal.throwIfAborted()
    const { ref, names, tell, pushing } = options
    const plain = (text: string) => (build.context ? text.replaceAll(build.context.url, 'source') : text)
    const progress = new Progress({ tell, pushing, plain, limits: this.#logLimits })
    await using session = new Session(this.#connection, { login: this.#login, secrets: options.secrets })
    const heard = this.#follow(ref, progress)
    this.#solving++
    let stopped: string[] = [] // what ran when the signal came: soon the daemon has ended it
    signal.addEventListener('abort', () => (stopped = progress.running()), { once: true })
    const killedBefore = outOfMemoryKills()
    const question = { ref, session: session.id, internal: true, ...requestOf(build, options) }
    try {
      const { exporterResponse } = await this.#connection.ask(Solve, question, signal).finally(() => heard(signal))
      return { digest: exporterResponse['containerimage.digest'] ?? '', names, stats: progress.stats() }
    } catch (error) {
      if (signal.aborted && stopped.length > 0)
        tell({ type: 'note', text: `Stopped while this ran: ${stopped.join('; ')}` })
      signal.throwIfAborted()
      const killed = outOfMemoryKills() - killedBefore
      throw solveProblem(error, { progress, plain, killed, changed: build.context?.changed() ?? null })
    } finally {
      this.#solving--
    }
  }

  /**
   * What the daemon holds although nothing is being built: of a step that was stopped it keeps what that wrote, and no
   * pruning removes it before the daemon starts anew.
   */
  async heldBytes(signal: AbortSignal): Promise<number> {
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
        .on('error', (error) => reject(daemonAway(error)))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.close()
    await this.#contexts[Symbol.asyncDispose]()
  }

  /**
   * Takes in the news of a solve. The answer is called when the solve is over, and waits for what is still on its way:
   * not just for the end, because after some failures the daemon never says it.
   */
  #follow(ref: string, progress: Progress): (signal: AbortSignal) => Promise<void> {
    const stream = this.#connection.watch(Status, { ref })
    let lastNews = 0
    const ended = new Promise<true>((resolve) => {
      stream.on('end', () => resolve(true)).on('error', () => resolve(true))
    })
    stream.on('data', (news) => {
      lastNews = performance.now()
      progress.take(news)
    })
    return async (signal) => {
      const from = performance.now()
      for (;;) {
        const patienceMs = progress.settled || signal.aborted ? settledMs : silenceMs
        const leftMs = Math.max(from, lastNews) + patienceMs - performance.now()
        if (leftMs <= 0 || (await Promise.race([ended, wait(Math.min(leftMs, settledMs), false)]))) break
      }
      stream.cancel()
      progress.end()
    }
  }
}

function requestOf(build: Build, { names, labels, rebuild }: SolveOptions) {
  const attrs = {
    name: names.join(','),
    push: 'true',
    'oci-mediatypes': 'true',
    compression: 'zstd', // three times as fast as gzip, and smaller; layers of the base stay as they are
  }
  if ('definition' in build) {
    const config = { ...build.image, config: withLabels(build.image.config, labels) }
    return {
      definition: rebuild ? withoutCache(build.definition) : build.definition,
      exporters: [{ type: 'image', attrs: { ...attrs, 'containerimage.config': JSON.stringify(config) } }],
    }
  }
  return {
    frontend: 'dockerfile.v0',
    frontendAttrs: {
      context: build.context.url,
      filename: build.dockerfile.path,
      ...(build.dockerfile.usualSyntax && { cmdline: 'dockerfile.v0' }), // its own mark for "syntax looked after"
      ...(build.target && { target: build.target }),
      ...(rebuild && { 'no-cache': '' }),
      ...Object.fromEntries([...prefixed('build-arg', build.buildArgs), ...prefixed('label', labels)]),
    },
    exporters: [{ type: 'image', attrs }],
  }
}

const prefixed = (prefix: string, values: Record<string, string>) =>
  Object.entries(values).map(([name, value]) => [`${prefix}:${name}`, value] as const)

const withLabels = (config: ImageConfig['config'], labels: Record<string, string>) => ({
  ...config,
  Labels: { ...config?.Labels, ...labels },
})

/** The same graph, with each vertex marked to be run again. */
function withoutCache(definition: Uint8Array): Uint8Array {
  const graph = Definition.decode(definition)
  const mark = IgnoreCache.encode({ ignoreCache: true })
  for (const vertex of graph.vertexes) {
    const digest = `sha256:${createHash('sha256').update(vertex).digest('hex')}`
    graph.metadata[digest] = Buffer.concat([graph.metadata[digest] ?? new Uint8Array(0), mark])
  }
  return Definition.encode(graph)
}
