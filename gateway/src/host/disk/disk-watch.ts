import { Problem } from '#api/problem.ts'
import { inMb } from '#api/text/in-mb.ts'
import type { Logger } from '../../log.ts'
import { unlessAborted } from '#api/flow/retry.ts'
import {
  bytesOf,
  calmShare,
  type DiskSpace,
  fullShare,
  isShort,
  isShortOfFiles,
  readSpace,
  type Watermark,
} from './disk-space.ts'
import { GrowingPause } from './growing-pause.ts'
import { type StopLargest, type Stopped, WorkStopper } from './work-stopper.ts'

export type DiskWatchOptions = {
  /** A folder on the file system to watch. */
  folder: string
  /**
   * Below this mark, the gateway accepts nothing new and frees space. Below a quarter of it, the
   * gateway stops the work that fills the disk. The mark counts for files (inodes) as for bytes: a
   * disk without a free inode is full as well.
   */
  low: Watermark
  /**
   * Above this mark, the disk counts as fine again. Below it, the gateway frees space although work
   * runs.
   */
  high: Watermark
  /** Below this mark, the gateway frees space while no work runs. By default it does not. */
  soft?: Watermark
  /**
   * Frees space until this much is free. It is never interrupted. It is urgent while the gateway
   * refuses new work.
   */
  makeRoom: (freeBytes: number, isUrgent: () => boolean) => Promise<unknown>
  /**
   * Frees more when `makeRoom` was not enough. It runs only while no work is inside. True: it did
   * something disruptive, so the next call waits for a pause that grows.
   */
  makeMoreRoom: (freeBytes: number) => Promise<boolean | void>
  stopLargest?: StopLargest
  log: Logger
}
type Upload = { announcedBytes: number; arrivedBytes: () => number }

const pollMs = 500
/** Pauses between two attempts to free space. Calm: nothing is refused. */
const [restMs, calmRestMs] = [10_000, 10 * 60_000]
const retryAfterSeconds = 30
const recentMs = 10_000
/** Pause between two calls of `makeMoreRoom`. */
const morePauseMs = { first: 30_000, longest: 15 * 60_000 }

/** Watches how much space a file system has. Work that needs space asks here first. */
export class DiskWatch {
  readonly #options: DiskWatchOptions
  readonly #timer: NodeJS.Timeout
  readonly #stopper: WorkStopper
  #space: DiskSpace = { freeBytes: 0, sizeBytes: 0, freeFiles: 0, sizeFiles: 0 }
  #tight = false
  /** For each upload that runs: the bytes that it announced and has not sent yet. */
  readonly #announced = new Set<() => number>()
  #lastLow = Number.NEGATIVE_INFINITY
  #lastTry = Number.NEGATIVE_INFINITY
  /** A build that fills the disk again and again must not restart the daemon each time. */
  readonly #furtherPause = new GrowingPause(morePauseMs)
  #making: Promise<void> | undefined
  /** Frees what costs least, before caches go. */
  #first: (() => Promise<unknown>) | null = null

  static async open(options: DiskWatchOptions): Promise<DiskWatch> {
    const watch = new DiskWatch(options)
    await watch.#look()
    return watch
  }

  private constructor(options: DiskWatchOptions) {
    this.#options = options
    this.#stopper = new WorkStopper(options.stopLargest, options.log)
    this.#timer = setInterval(() => void this.#look(), pollMs)
  }

  /** Names a job that frees space and costs nobody anything. It runs before caches are removed. */
  removeFirst(job: () => Promise<unknown>): void {
    this.#first = job
  }

  /** The space at the last look. */
  get space(): DiskSpace {
    return this.#space
  }

  /** Not ok from the moment free space is below the low mark until it is above the high mark. */
  state(): { ok: boolean; detail: string } {
    const { freeBytes, sizeBytes, freeFiles, sizeFiles } = this.#space
    const free = `${inMb(freeBytes)} of ${inMb(sizeBytes)} free`
    if (!this.#tight) return { ok: true, detail: free }

    const { high } = this.#options
    const files = isShortOfFiles(this.#space, high) ? ` and ${freeFiles} of ${sizeFiles} files` : ''
    return {
      ok: false,
      detail: `${free}${files}; the gateway accepts nothing new until ${inMb(bytesOf(high, this.#space))} are free`,
    }
  }

  /**
   * For work that fills the disk. The signal aborts with `no-space` when the disk is almost full,
   * youngest work first.
   */
  enter(): { signal: AbortSignal } & Disposable {
    return this.#stopper.enter()
  }

  /** The build step that was stopped in the last seconds because it filled the disk. */
  stoppedLately(): Stopped | null {
    return this.#stopper.stoppedLately()
  }

  /** Throws `no-space` while the gateway accepts nothing new. */
  assertRoom(): void {
    if (!this.#tight) return
    const detail = `The gateway’s disk has ${this.state().detail}. Old build caches are being removed. Send it again in ${retryAfterSeconds} s. If this happens again, its operator must give it a larger volume.`
    throw new Problem('no-space', detail, { facts: { retryAfterSeconds, ...this.#space } })
  }

  /**
   * Reserves space for an upload until the result is disposed: the announced bytes less the bytes
   * that have arrived. Throws `no-space` when the disk cannot hold it beside the other uploads.
   */
  reserve({ announcedBytes, arrivedBytes }: Upload): Disposable {
    this.assertRoom()

    const missing = () => Math.max(0, announcedBytes - arrivedBytes())
    const { freeBytes, sizeBytes } = this.#space
    const low = bytesOf(this.#options.low, this.#space)
    const leftBytes = [...this.#announced].reduce(
      (left, other) => left - other(),
      freeBytes - announcedBytes,
    )

    // Frees no space for an upload that the disk could never hold: that would remove all caches.
    const wantedBytes = freeBytes - leftBytes + bytesOf(this.#options.high, this.#space)
    const mayMake =
      !this.#making && performance.now() - this.#lastTry > restMs && wantedBytes < sizeBytes
    if (leftBytes < low && mayMake) void this.makeRoom(wantedBytes / sizeBytes)

    if (sizeBytes > 0 && leftBytes < low * fullShare) {
      const detail = `The gateway’s disk has ${inMb(freeBytes)} free, which is not enough for ${inMb(announcedBytes)} more beside the other uploads. Send it again in ${retryAfterSeconds} s. If this happens again, its operator must give it a larger volume.`
      throw new Problem('no-space', detail, {
        facts: { retryAfterSeconds, freeBytes, announcedBytes },
      })
    }

    this.#announced.add(missing)
    return { [Symbol.dispose]: () => this.#announced.delete(missing) }
  }

  /** Waits while space is being freed. Throws `no-space` when that was not enough. */
  async settled(signal: AbortSignal): Promise<void> {
    if (this.#making) await unlessAborted(this.#making, signal)
    this.assertRoom()
  }

  /**
   * Whether the disk is short of space now, or was in the last seconds. A failed step may have
   * freed its space already.
   */
  async wasShort(): Promise<boolean> {
    await this.#look()
    return this.#tight || performance.now() - this.#lastLow < recentMs
  }

  /**
   * Frees space, one run at a time. The goal is `share` of the disk, or a little more than the high
   * mark, so that the next build has some.
   */
  makeRoom(share?: number): Promise<void> {
    const { high } = this.#options
    const { sizeBytes, freeBytes } = this.#space
    const wanted = share === undefined ? bytesOf(high, this.#space) * 1.1 : share * sizeBytes

    // Caches are removed by bytes. When files are short, half of the bytes in use are removed.
    const wantedForFiles = isShortOfFiles(this.#space, high) ? (freeBytes + sizeBytes) / 2 : 0
    const wantedBytes = Math.max(wanted, wantedForFiles)
    this.#lastTry = performance.now()

    return (this.#making ??= this.#makeRoom(Math.ceil(wantedBytes)).finally(
      () => (this.#making = undefined),
    ))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#making
  }

  async #look(): Promise<void> {
    const { folder, low, high, log } = this.#options
    const space = await readSpace(folder)
    if (!space) return

    this.#space = space
    const isLow = isShort(space, low)
    if (isLow) this.#lastLow = performance.now()
    if (isShort(space, low, fullShare)) {
      const by = isShortOfFiles(space, low, fullShare) ? 'files' : 'bytes'
      void this.#stopper.stop(by, space)
    }

    const tight = isLow || (this.#tight && isShort(space, high))
    if (tight !== this.#tight)
      log[tight ? 'error' : 'info'](
        space,
        tight ? 'disk is short of space' : 'disk has space again',
      )

    this.#tight = tight
    if (this.#making) return
    const restedMs = performance.now() - this.#lastTry
    if (tight && restedMs > restMs) void this.makeRoom()
    const wanted =
      restedMs > calmRestMs ? calmShare(space, this.#options, this.#stopper.isIdle) : null
    if (!tight && wanted !== null) void this.makeRoom(wanted)
  }

  async #makeRoom(wantedBytes: number): Promise<void> {
    const { makeRoom, makeMoreRoom, log } = this.#options
    const before = this.#space.freeBytes
    try {
      if (this.#first)
        await this.#first().catch((err: unknown) => log.error({ err }, 'sweep failed'))
      await makeRoom(wantedBytes, () => this.#tight)
      await this.#look()
      const mayGoFurther = this.#stopper.isIdle && this.#furtherPause.isOver
      if (this.#tight && mayGoFurther && (await makeMoreRoom(wantedBytes)) === true)
        this.#furtherPause.begin()
    } catch (err) {
      log.error({ err }, 'could not free space on the disk')
    }

    await this.#look()
    log.info({ freedBytes: this.#space.freeBytes - before }, 'build caches removed')
  }
}
