import { rm } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { SourceFacts } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { crashOrders } from '#api/flow/crash-point.ts'
import { unlessAborted } from '#api/flow/retry.ts'
import { ThreadPool } from '../host/threads/thread-pool.ts'
import type { LateDigest } from './content-digest.ts'
import { brokenOff, sentBytes } from './sent-bytes.ts'
import { SpoolShare } from './spool-room.ts'
import type { PackAnswer, TreeAnswer } from '#api/sources/tree-calls.ts'
import type { JoinJob } from './trees/join-tree.ts'
import type { SpareJob } from './trees/spares.ts'
import type { SweepJob } from './trees/sweep-objects.ts'
import type { PackJob } from './trees/take-pack.ts'
import type { TreeJob } from './trees/take-tree.ts'
import type { UploadJob } from './upload-job.ts'

/** All uploads of the process share these threads. */
export const uploadThreads = new ThreadPool({
  script: new URL('./upload-thread.ts', import.meta.url),
  size: 2,
  heapMiB: 1024,
  data: () => ({ crashOrders: crashOrders() }),
})
/** A thread that does not stop an upload within this time is terminated. */
const stopMs = 60_000

/** The kinds of uploads: what a thread gets, and what it answers when the body is checked. */
type Kinds = {
  upload: { job: UploadJob; answer: SourceFacts }
  tree: { job: TreeJob; answer: TreeAnswer }
  pack: { job: PackJob; answer: PackAnswer }
}

/** One upload. A thread checks and unpacks it. Always call `end`. */
export class Upload<Kind extends keyof Kinds = 'upload'> {
  readonly path: string
  /** Whether the body passed all checks. */
  checked = false
  readonly #job: ReturnType<ThreadPool['start']>
  #leftMs: number
  readonly #limits: UploadJob['limits']
  readonly #share = new SpoolShare()

  constructor(kind: Kind, job: Kinds[Kind]['job']) {
    this.path = job.path
    this.#limits = job.limits
    this.#leftMs = job.limits.unpackMs
    this.#job = uploadThreads.start(kind, { ...job, count: this.#share.count })
  }

  /**
   * Sends the body to the thread. Resolves when the whole body is checked. `late`: only of an
   * `upload` whose job says so.
   */
  async check(
    body: Readable,
    signal: AbortSignal,
    late?: LateDigest,
  ): Promise<Kinds[Kind]['answer']> {
    const { port } = this.#job
    // A thread that refuses does not wait for the sender.
    const either = AbortSignal.any([signal, port.broken])
    try {
      for await (const piece of sentBytes(body, this.#limits, either))
        await this.#within(port.sendCopy(piece))
      port.sendEnd()
      if (late) port.sendValue(await unlessAborted(late(), either))
    } catch (error) {
      port.sendError(error) // the thread adds the entry where it happened
    }

    const found = await this.#within(port.value<Kinds[Kind]['answer']>())
    if (signal.aborted) throw brokenOff(signal.reason)

    this.checked = true
    return found
  }

  /** Lets the thread do the rest, and waits for it. */
  async finish(): Promise<void> {
    this.#job.port.sendValue(true)
    await this.#within(this.#job.port.value())
  }

  /**
   * Resolves when the thread has finished. What it wrote is removed, unless the folder has been
   * moved.
   */
  async end(): Promise<void> {
    const { port, end, kill } = this.#job
    port.sendError(new Error('The upload is over.'))
    const stuck = setTimeout(kill, this.#leftMs > 0 ? stopMs : 0)
    await port.closed
    clearTimeout(stuck)
    end()
    this.#share.end()
    await rm(this.path, { recursive: true, force: true }) // if the thread died
  }

  /** Counts only the thread's own time, not the time spent waiting for the sender. */
  async #within<T>(work: Promise<T>): Promise<T> {
    const startedMs = performance.now()
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(this.#tooLong()), Math.max(1, this.#leftMs))
    try {
      return await Promise.race([work, late])
    } finally {
      clearTimeout(timer)
      this.#leftMs -= performance.now() - startedMs
    }
  }

  #tooLong(): Problem {
    const limitMs = this.#limits.unpackMs
    return new Problem(
      'time-limit',
      `Checking and unpacking the archive took more than ${limitMs / 1000} s. Leave out what is not source, or send it when the gateway is less busy.`,
      { facts: { phase: 'unpack', limitMs } },
    )
  }
}

/** Removes a tree on a thread. */
export const removeTree = (path: string): Promise<void> => onThread('remove', path)

/** Puts the files of a tree into the store. Returns how many the store had. */
export const joinOnThread = (job: JoinJob): Promise<number> => onThread('join', job)

/** Makes a spare of a tree. */
export const spareOnThread = (job: SpareJob): Promise<boolean> => onThread('spare', job)

/** Removes what nothing uses from the store of a volume. Returns how many files that were. */
export const sweepOnThread = (job: SweepJob): Promise<number> => onThread('sweep', job)

async function onThread<T = void>(
  kind: 'remove' | 'join' | 'spare' | 'sweep',
  job: string | JoinJob | SpareJob | SweepJob,
): Promise<T> {
  const { port, end } = uploadThreads.start(kind, job)
  try {
    return await port.value<T>()
  } finally {
    end()
  }
}
