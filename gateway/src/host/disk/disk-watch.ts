import { statfs } from 'node:fs/promises'
import { Problem } from '#api/problem.ts'
import type { Logger } from '../../log.ts'

/** An amount of a file system: bytes, or a share of its size from 0 to 1. */
export type Watermark = { bytes: number } | { share: number }
export type DiskWatchOptions = {
  /** A folder on the file system to watch. */
  folder: string
  /**
   * Below this mark, the gateway accepts nothing new and frees space. Below a quarter of it, the
   * gateway stops the work that fills the disk. The mark counts for files (inodes) as for bytes: a
   * disk without a free inode is full as well.
   */
  low: Watermark
  /** Above this mark, the disk counts as fine again. */
  high: Watermark
  /** Frees space until this much is free. It is never interrupted. */
  makeRoom: (freeBytes: number) => Promise<void>
  /**
   * Frees more when `makeRoom` was not enough. It runs only while no work is inside. True: it did
   * something disruptive, so the next call waits for a pause that grows.
   */
  makeMoreRoom: (freeBytes: number) => Promise<boolean | void>
  /** Stops the step that fills the disk most, and returns what it was. Null when it finds none. */
  stopLargest?: (by: 'bytes' | 'files') => Promise<Stopped | null>
  log: Logger
}
/** A build step that was stopped because it filled the disk. */
export type Stopped = { command: string; bytes: number; files: number }

const lookEveryMs = 500
/** Share of the low mark. Work is stopped while the gateway can still write its own records. */
const fullShare = 0.25
/** Pause between two attempts to free space. */
const restMs = 10_000
const retryAfterSeconds = 30
const recentMs = 10_000
/** Pause between two stops: the first one may have been enough. */
const reliefMs = 2000
/** Pause between two calls of `makeMoreRoom`. */
const furtherMs = { first: 30_000, longest: 15 * 60_000 }

type Room = { freeBytes: number; sizeBytes: number; freeFiles: number; sizeFiles: number }

/** Watches how much space a file system has. Work that needs space asks here first. */
export class DiskWatch {
  readonly #options: DiskWatchOptions
  readonly #timer: NodeJS.Timeout
  #room: Room = { freeBytes: 0, sizeBytes: 0, freeFiles: 0, sizeFiles: 0 }
  #tight = false
  /** Work that runs and needs space, oldest first. */
  readonly #inside = new Set<AbortController>()
  #stopping = false
  #lastStop = Number.NEGATIVE_INFINITY
  #lastStopped: Stopped | null = null
  /** For each upload that runs: the bytes that it announced and has not sent yet. */
  readonly #announced = new Set<() => number>()
  #lastLow = Number.NEGATIVE_INFINITY
  #lastTry = Number.NEGATIVE_INFINITY
  #furtherAfter = Number.NEGATIVE_INFINITY
  #furtherPauseMs = furtherMs.first
  #making: Promise<void> | undefined

  static async open(options: DiskWatchOptions): Promise<DiskWatch> {
    const watch = new DiskWatch(options)
    await watch.#look()
    return watch
  }

  private constructor(options: DiskWatchOptions) {
    this.#options = options
    this.#timer = setInterval(() => void this.#look(), lookEveryMs)
  }

  /** Not ok from the moment free space is below the low mark until it is above the high mark. */
  state(): { ok: boolean; detail: string } {
    const { freeBytes, sizeBytes, freeFiles, sizeFiles } = this.#room
    const free = `${inMb(freeBytes)} of ${inMb(sizeBytes)} free`
    if (!this.#tight) return { ok: true, detail: free }

    const { high } = this.#options
    const files = isBelow(high, freeFiles, sizeFiles, sizeBytes)
      ? ` and ${freeFiles} of ${sizeFiles} files`
      : ''
    return {
      ok: false,
      detail: `${free}${files}; nothing new is taken until ${inMb(bytesOf(high, sizeBytes))} are`,
    }
  }

  /**
   * For work that fills the disk. The signal aborts with `no-space` when the disk is almost full,
   * youngest work first.
   */
  enter(): { signal: AbortSignal } & Disposable {
    const stop = new AbortController()
    this.#inside.add(stop)
    return { signal: stop.signal, [Symbol.dispose]: () => void this.#inside.delete(stop) }
  }

  /** The build step that was stopped in the last seconds because it filled the disk. */
  stoppedLately(): Stopped | null {
    return performance.now() - this.#lastStop < recentMs ? this.#lastStopped : null
  }

  /** Throws `no-space` while the gateway accepts nothing new. */
  assertRoom(): void {
    if (!this.#tight) return
    const detail = `The builder’s disk has ${this.state().detail}. Old build caches are being removed: send it again in ${retryAfterSeconds} s. If it stays so, its operator must give it a larger volume.`
    throw new Problem('no-space', detail, { facts: { retryAfterSeconds, ...this.#room } })
  }

  /**
   * Reserves space for an upload until the result is disposed: the announced bytes less the bytes
   * that have arrived. Throws `no-space` when the disk cannot hold it beside the other uploads.
   */
  reserve({
    announcedBytes,
    arrivedBytes,
  }: {
    announcedBytes: number
    arrivedBytes: () => number
  }): Disposable {
    this.assertRoom()

    const missing = () => Math.max(0, announcedBytes - arrivedBytes())
    const { freeBytes, sizeBytes } = this.#room
    const low = bytesOf(this.#options.low, sizeBytes)
    const leftBytes = [...this.#announced].reduce(
      (left, other) => left - other(),
      freeBytes - announcedBytes,
    )

    // Frees no space for an upload that the disk could never hold: that would remove all caches.
    const wantedBytes = freeBytes - leftBytes + bytesOf(this.#options.high, sizeBytes)
    const mayMake =
      !this.#making && performance.now() - this.#lastTry > restMs && wantedBytes < sizeBytes
    if (leftBytes < low && mayMake) void this.makeRoom(wantedBytes / sizeBytes)

    if (sizeBytes > 0 && leftBytes < low * fullShare) {
      const detail = `The builder’s disk has ${inMb(freeBytes)} free, which is not enough for ${inMb(announcedBytes)} more beside the other uploads under way. Send it again in ${retryAfterSeconds} s. If it stays so, its operator must give it a larger volume.`
      throw new Problem('no-space', detail, {
        facts: { retryAfterSeconds, freeBytes, announcedBytes },
      })
    }

    this.#announced.add(missing)
    return { [Symbol.dispose]: () => this.#announced.delete(missing) }
  }

  /** Waits while space is being freed. Throws `no-space` when that was not enough. */
  async settled(signal: AbortSignal): Promise<void> {
    if (this.#making) await Promise.race([this.#making, rejectionOf(signal)])
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
    const { sizeBytes, freeBytes, freeFiles, sizeFiles } = this.#room
    const wanted = share === undefined ? bytesOf(high, sizeBytes) * 1.1 : share * sizeBytes

    // Caches are removed by bytes. When files are short, half of the bytes in use are removed.
    const wantedForFiles = isBelow(high, freeFiles, sizeFiles, sizeBytes)
      ? (freeBytes + sizeBytes) / 2
      : 0
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
    const { folder, log } = this.#options
    const found = await statfs(folder).catch(() => null)
    if (!found) return

    const { low, high } = this.#options
    const sizeBytes = found.blocks * found.bsize
    // Part of the free space may be reserved for root.
    const freeBytes = found.bavail * found.bsize
    const [freeFiles, sizeFiles] = [found.ffree, found.files]
    this.#room = { freeBytes, sizeBytes, freeFiles, sizeFiles }

    const isShort = (mark: Watermark, share = 1) =>
      freeBytes < bytesOf(mark, sizeBytes) * share ||
      isBelow(mark, freeFiles, sizeFiles * share, sizeBytes)
    const isLow = isShort(low)
    if (isLow) this.#lastLow = performance.now()
    if (isShort(low, fullShare) && !this.#stopping) void this.#stop()

    const tight = isLow || (this.#tight && isShort(high))
    if (tight !== this.#tight)
      log[tight ? 'error' : 'info'](
        this.#room,
        tight ? 'disk is short of room' : 'disk has room again',
      )

    this.#tight = tight
    if (tight && !this.#making && performance.now() - this.#lastTry > restMs) void this.makeRoom()
  }

  /**
   * Stops one thing at a time, to stop no more than needed: the step that wrote most, or else the
   * youngest work.
   */
  async #stop(): Promise<void> {
    if (performance.now() - this.#lastStop < reliefMs) return

    this.#stopping = true
    const { stopLargest, low, log } = this.#options
    const { freeFiles, sizeFiles, sizeBytes } = this.#room
    const by = isBelow(low, freeFiles, sizeFiles * fullShare, sizeBytes) ? 'files' : 'bytes'

    const stopped = await stopLargest?.(by).catch((err: unknown) => {
      log.error({ err }, 'what fills the disk could not be found')
      return null
    })

    this.#stopping = false
    const youngest = [...this.#inside].at(-1)
    if (!stopped && !youngest) return

    this.#lastStop = performance.now()
    this.#lastStopped = stopped ?? null
    if (stopped)
      log.warn({ ...stopped, ...this.#room }, 'a build step filled the disk and was stopped')
    else if (youngest) {
      this.#inside.delete(youngest)
      youngest.abort(new Problem('no-space', 'The builder’s disk is full.'))
    }
  }

  async #makeRoom(wantedBytes: number): Promise<void> {
    const { makeRoom, makeMoreRoom, log } = this.#options
    const before = this.#room.freeBytes
    try {
      await makeRoom(wantedBytes)
      await this.#look()
      const mayGoFurther = this.#inside.size === 0 && performance.now() >= this.#furtherAfter
      if (this.#tight && mayGoFurther && (await makeMoreRoom(wantedBytes)) === true)
        this.#pauseFurther()
    } catch (err) {
      log.error({ err }, 'no room could be made on the disk')
    }

    await this.#look()
    log.info({ freedBytes: this.#room.freeBytes - before }, 'build caches removed')
  }

  /**
   * A build that fills the disk again and again must not restart the daemon each time: others build
   * with it.
   */
  #pauseFurther(): void {
    const now = performance.now()
    const isQuiet = now - this.#furtherAfter > furtherMs.longest
    this.#furtherPauseMs = isQuiet
      ? furtherMs.first
      : Math.min(this.#furtherPauseMs * 2, furtherMs.longest)
    this.#furtherAfter = now + this.#furtherPauseMs
  }
}

/** Watermarks are for bytes. For files, the same share counts. */
function isBelow(
  mark: Watermark,
  freeFiles: number,
  sizeFiles: number,
  sizeBytes: number,
): boolean {
  if (sizeFiles === 0) return false // the file system does not count files
  return freeFiles < ('bytes' in mark ? mark.bytes / sizeBytes : mark.share) * sizeFiles
}

const bytesOf = (mark: Watermark, sizeBytes: number) =>
  'bytes' in mark ? mark.bytes : mark.share * sizeBytes
const inMb = (bytes: number) => `${Math.round(bytes / 1e6)} MB`

function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    signal.throwIfAborted()
  })
}
