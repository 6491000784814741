import { statfs } from 'node:fs/promises'
import { Problem } from '#api/problem.ts'
import type { Logger } from '../log.ts'

/** An amount of a file system: bytes, or a share of its size from 0 to 1. */
export type Mark = { bytes: number } | { share: number }
export type DiskWatchOptions = {
  /** A folder on the file system that is watched. */
  folder: string
  /** Below it, nothing new is taken and room is made; below a quarter of it, `full` fires. */
  low: Mark
  /** Above it, all is well again. */
  high: Mark
  /** Makes room until this much is free; never broken off. */
  makeRoom: (freeBytes: number) => Promise<void>
  /** Goes further, when that was not enough. */
  makeMoreRoom: (freeBytes: number) => Promise<void>
  log: Logger
}

const lookEveryMs = 500
/** Of the low mark: what is at work is stopped while the gateway’s own records can still be written. */
const fullShare = 0.25
/** Between two tries to make room. */
const restMs = 10_000
const retryAfterSeconds = 30
const recentMs = 10_000

/** Watches how much room a file system has. Whoever needs some asks here first. */
export class DiskWatch {
  readonly #options: DiskWatchOptions
  readonly #timer: NodeJS.Timeout
  #room = { freeBytes: 0, sizeBytes: 0 }
  #tight = false
  #full = new AbortController()
  /** What each upload under way has announced and not sent yet. */
  readonly #announced = new Set<() => number>()
  #lastLow = Number.NEGATIVE_INFINITY
  #lastTry = Number.NEGATIVE_INFINITY
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

  /** From the moment it was below the low mark until it is above the high one. */
  state(): { ok: boolean; detail: string } {
    const { freeBytes, sizeBytes } = this.#room
    const free = `${inMb(freeBytes)} of ${inMb(sizeBytes)} free`
    if (!this.#tight) return { ok: true, detail: free }
    const wanted = bytesOf(this.#options.high, sizeBytes)
    return { ok: false, detail: `${free}; nothing new is taken until ${inMb(wanted)} are` }
  }

  /** Fires with `no-space` when hardly anything is left: whatever may be filling the disk must stop. */
  get full(): AbortSignal {
    return this.#full.signal
  }

  /** Throws `no-space` while nothing new is taken. */
  assertRoom(): void {
    if (!this.#tight) return
    const detail = `The builder’s disk has ${this.state().detail}. Old build caches are being removed: send it again in ${retryAfterSeconds} s. If it stays so, its operator must give it a larger volume.`
    throw new Problem('no-space', detail, { facts: { retryAfterSeconds, ...this.#room } })
  }

  /**
   * Keeps room for an upload until the result is disposed: what it announced, less what has arrived and is on the disk.
   * Throws `no-space` when the disk cannot hold it beside the other uploads under way.
   */
  reserve({ announcedBytes, arrivedBytes }: { announcedBytes: number; arrivedBytes: () => number }): Disposable {
    this.assertRoom()
    const missing = () => Math.max(0, announcedBytes - arrivedBytes())
    const { freeBytes, sizeBytes } = this.#room
    const low = bytesOf(this.#options.low, sizeBytes)
    const leftBytes = [...this.#announced].reduce((left, other) => left - other(), freeBytes - announcedBytes)
    // Not for what the disk could never hold: all caches would go for it.
    const wantedBytes = freeBytes - leftBytes + bytesOf(this.#options.high, sizeBytes)
    const mayMake = !this.#making && performance.now() - this.#lastTry > restMs && wantedBytes < sizeBytes
    if (leftBytes < low && mayMake) void this.makeRoom(wantedBytes / sizeBytes)
    if (sizeBytes > 0 && leftBytes < low * fullShare) {
      const detail = `The builder’s disk has ${inMb(freeBytes)} free, which is not enough for ${inMb(announcedBytes)} more beside the other uploads under way. Send it again in ${retryAfterSeconds} s. If it stays so, its operator must give it a larger volume.`
      throw new Problem('no-space', detail, { facts: { retryAfterSeconds, freeBytes, announcedBytes } })
    }
    this.#announced.add(missing)
    return { [Symbol.dispose]: () => this.#announced.delete(missing) }
  }

  /** Waits for room that is being made; throws `no-space` when there is none all the same. */
  async settled(signal: AbortSignal): Promise<void> {
    if (this.#making) await Promise.race([this.#making, rejectionOf(signal)])
    this.assertRoom()
  }

  /** Whether the disk is short of room now, or was in the last seconds: a step that failed may have given it back. */
  async wasShort(): Promise<boolean> {
    await this.#look()
    return this.#tight || performance.now() - this.#lastLow < recentMs
  }

  /** Makes room, one at a time: a little more than the high mark, so that the next build has some, or this share. */
  makeRoom(share?: number): Promise<void> {
    const { sizeBytes } = this.#room
    const wantedBytes = share === undefined ? bytesOf(this.#options.high, sizeBytes) * 1.1 : share * sizeBytes
    this.#lastTry = performance.now()
    return (this.#making ??= this.#makeRoom(Math.ceil(wantedBytes)).finally(() => (this.#making = undefined)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#making
  }

  async #look(): Promise<void> {
    const { folder, low, high, log } = this.#options
    const found = await statfs(folder).catch(() => null)
    if (!found) return
    const sizeBytes = found.blocks * found.bsize
    const freeBytes = found.bavail * found.bsize // of what is free, some may be kept from us
    this.#room = { freeBytes, sizeBytes }
    const isLow = freeBytes < bytesOf(low, sizeBytes)
    if (isLow) this.#lastLow = performance.now()
    const isFull = freeBytes < bytesOf(low, sizeBytes) * fullShare
    if (isFull) this.#full.abort(new Problem('no-space', 'The builder’s disk is full.'))
    else if (this.#full.signal.aborted) this.#full = new AbortController()
    const tight = isLow || (this.#tight && freeBytes < bytesOf(high, sizeBytes))
    if (tight !== this.#tight)
      log[tight ? 'error' : 'info'](this.#room, tight ? 'disk is short of room' : 'disk has room again')
    this.#tight = tight
    if (tight && !this.#making && performance.now() - this.#lastTry > restMs) void this.makeRoom()
  }

  async #makeRoom(wantedBytes: number): Promise<void> {
    const { makeRoom, makeMoreRoom, log } = this.#options
    const before = this.#room.freeBytes
    try {
      await makeRoom(wantedBytes)
      await this.#look()
      if (this.#tight) await makeMoreRoom(wantedBytes)
    } catch (err) {
      log.error({ err }, 'no room could be made on the disk')
    }
    await this.#look()
    log.info({ freedBytes: this.#room.freeBytes - before }, 'build caches removed')
  }
}

const bytesOf = (mark: Mark, sizeBytes: number) => ('bytes' in mark ? mark.bytes : mark.share * sizeBytes)
const inMb = (bytes: number) => `${Math.round(bytes / 1e6)} MB`

function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    signal.throwIfAborted()
  })
}
