import { poll } from '#api/flow/retry.ts'
import type { CacheStatus, RemovedCache } from '#api/status/cache.ts'
import type { Logger } from '../../log.ts'
import type { Connection } from '../connection.ts'
import { daemonUnavailable } from '../failures.ts'
import { DiskUsage } from '../messages.ts'
import type { CacheBytes } from './cache-limits.ts'
import { recordOf } from './cache-records.ts'
import {
  aboveLimit,
  aboveShare,
  type CacheShares,
  recordsOf,
  type Survey,
  unusedSince,
  usageOf,
} from './cache-usage.ts'
import { prune, type Which } from './prune.ts'
import { bytesOf, RemovalNotes, type Removed } from './removal-notes.ts'
import { noteUsers, type Use } from './cache-users.ts'
import { type Known, readUsers, writeUsers } from './users-file.ts'

export type BuildCacheOptions = {
  /** Where the gateway keeps which app used what. Null: in memory only. */
  file: string | null
  /** Null: the disk cannot be read now. */
  limits: () => Promise<CacheBytes | null>
  log: Logger | null
}

const dayMs = 86_400_000
const keepMs = 60_000
/** How long after a build the gateway notes what it used, and keeps the cache within its limits. */
const afterBuildMs = 15_000
const ageEveryMs = 3_600_000
const askMs = 60_000
const lastAskMs = 2000
/** How long a removal waits for the end of pushes. */
const patienceMs = { usual: 300_000, urgent: 10_000 }
/** So many ids in one question. */
const batch = 200

/**
 * The build cache by app. Removals run one at a time, begin when no image is pushed, and are never
 * cancelled: a removal that stops halfway may cost the other half.
 */
export class BuildCache {
  readonly #connection: Connection
  readonly #options: BuildCacheOptions
  #known: Known
  #uses: Use[] = []
  #pushes = 0
  #kept: { survey: Survey; atMs: number } | null = null
  #looking: Promise<Survey> | null = null
  #removing: Promise<unknown> = Promise.resolve()
  #soon: NodeJS.Timeout | null = null
  /** How teams share the cache. Null: they do not. */
  shares: CacheShares | null = null
  readonly removals = new RemovalNotes()
  readonly #hourly: NodeJS.Timeout

  static async open(connection: Connection, options: BuildCacheOptions): Promise<BuildCache> {
    const none: Known = { keys: new Map(), users: new Map() }
    return new BuildCache(
      connection,
      options,
      options.file === null ? none : await readUsers(options.file),
    )
  }

  private constructor(connection: Connection, options: BuildCacheOptions, known: Known) {
    this.#connection = connection
    this.#options = options
    this.#known = known
    this.#hourly = setInterval(() => void this.keepWithinLimits(), ageEveryMs).unref()
  }

  /** Call when a build of an app begins, and `end` when the daemon has answered. */
  enter(
    app: string,
    { cacheKey, pushing }: { cacheKey?: string | undefined; pushing?: () => void } = {},
  ): { pushing: () => void; end: () => void } {
    const use: Use = { app, fromMs: Date.now(), toMs: Infinity }
    this.#uses.push(use)
    if (cacheKey)
      this.#known = { ...this.#known, keys: new Map(this.#known.keys).set(cacheKey, app) }

    let pushes = 0
    return {
      pushing: () => {
        this.#pushes += 1 - pushes
        pushes = 1
        pushing?.()
      },
      end: () => {
        if (use.toMs !== Infinity) return
        this.#pushes -= pushes
        use.toMs = Date.now() + 1
        this.#soon ??= setTimeout(() => {
          this.#soon = null
          void this.keepWithinLimits()
        }, afterBuildMs).unref()
      },
    }
  }

  /** The cache by app, at most a minute old. Throws `buildkit-unavailable`. */
  async usage(): Promise<CacheStatus> {
    if (!this.#kept || Date.now() - this.#kept.atMs > keepMs) await this.#look()
    const { survey, atMs } = this.#kept!
    const limits = await this.#options.limits()
    return {
      measuredAt: new Date(atMs).toISOString(),
      ...usageOf(survey),
      maxBytes: limits?.maxBytes ?? null,
      appBytes: limits?.appBytes ?? null,
    }
  }

  /**
   * Removes what one app alone uses. Keeps what a build uses now, and does not wait for pushes: the
   * daemon removes nothing that it pushes.
   */
  async remove(app: string): Promise<Pick<RemovedCache, 'removedBytes' | 'keptBytes'>> {
    const own = recordsOf(await this.#look(), app)
    const removed = await this.#inTurn(() => this.#removeRecords(own))
    this.removals.report('asked', removed, app)
    const removedBytes = bytesOf(removed)
    const left = recordsOf(await this.#look(), app)
    return { removedBytes, keptBytes: left.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) }
  }

  /**
   * Frees space until so many bytes of the disk are free: first what apps have above their share,
   * then whatever no build used for longest. While it is urgent, it hardly waits for pushes.
   */
  async makeRoom(freeBytes: number, isUrgent: () => boolean): Promise<void> {
    await this.#inTurn(async () => {
      await this.#pushesEnd(isUrgent)
      // On a full disk this may fail, and then the rest matters more.
      await this.#removeExcess().catch(() => {})
      this.removals.report('disk', await this.prune({ minFreeBytes: freeBytes }))
    })
  }

  /** Removes what is too old, and what apps have above their share. A failure is logged. */
  async keepWithinLimits(): Promise<void> {
    try {
      await this.#inTurn(() => this.#removeExcess())
    } catch (err) {
      this.#options.log?.warn({ err }, 'could not keep the build cache within its limits')
    }
  }

  /** Removes unused entries: until so much is free, or those that match a filter. */
  async prune(which: Which): Promise<Removed> {
    this.#kept = null
    return this.removals.removed(await prune(this.#connection, which))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#hourly)
    if (this.#soon) {
      clearTimeout(this.#soon)
      await this.#look(lastAskMs).catch(() => {}) // note what the last builds used
    }
    await this.#removing.catch(() => {})
  }

  async #removeExcess(): Promise<void> {
    const survey = await this.#look()
    const limits = await this.#options.limits()
    if (!limits) return
    const old = unusedSince(survey, Date.now() - limits.days * dayMs)
    const reasons = [
      ['unused', old],
      ['app-limit', aboveLimit(survey, limits.appBytes)],
      ['team-share', this.shares ? aboveShare(survey, this.shares, limits.maxBytes) : []],
    ] as const
    const all = reasons.flatMap(([, records]) => records)
    if (all.length === 0) return
    await this.#pushesEnd()
    const removed = await this.#removeRecords(all)
    this.removals.reportBy(reasons, removed)
    const removedBytes = bytesOf(removed)
    if (removedBytes > 0)
      this.#options.log?.info({ removedBytes }, 'removed what the build cache had above its limits')
  }

  /** Removes these, as far as no build uses them. */
  async #removeRecords(records: readonly { id: string }[]): Promise<Removed> {
    const left = new Set(records.map(({ id }) => id))
    const removed = new Map<string, number>()
    // The daemon keeps a record while another one was made from it, so one pass may free the next.
    for (let before = Infinity; left.size > 0 && left.size < before;) {
      before = left.size
      const all = [...left]
      for (let at = 0; at < all.length; at += batch) {
        const filters = all.slice(at, at + batch).map((id) => `id==${id}`)
        for (const [id, bytes] of await this.prune({ filters })) {
          removed.set(id, bytes)
          left.delete(id)
        }
      }
    }
    return removed
  }

  /** One removal at a time. */
  #inTurn<T>(removal: () => Promise<T>): Promise<T> {
    const turn = this.#removing.catch(() => {}).then(removal)
    this.#removing = turn
    return turn
  }

  async #pushesEnd(isUrgent = () => false): Promise<void> {
    const fromMs = performance.now()
    const ended = async () => {
      const isLate = performance.now() - fromMs > patienceMs.urgent && isUrgent()
      return this.#pushes === 0 || isLate ? true : null
    }
    await poll(ended, { everyMs: 100, forMs: patienceMs.usual }, new AbortController().signal)
  }

  /** Asks the daemon what it has, and notes who used it. */
  #look(withinMs = askMs): Promise<Survey> {
    return (this.#looking ??= this.#ask(withinMs).finally(() => (this.#looking = null)))
  }

  async #ask(withinMs: number): Promise<Survey> {
    const askedMs = Date.now()
    const { records: all } = await this.#connection
      .ask(DiskUsage, {}, AbortSignal.timeout(withinMs))
      .catch((error: unknown) => {
        throw daemonUnavailable(error)
      })
    const records = all.map(recordOf)
    this.removals.look(records)
    const users = noteUsers(this.#known.users, records, this.#uses)
    this.#known = { ...this.#known, users }
    this.#uses = this.#uses.filter(({ toMs }) => toMs > askedMs)
    const survey = { records, ...this.#known }
    this.#kept = { survey, atMs: askedMs }

    const { file } = this.#options
    // Without the file, less can be removed by app. Nothing else is lost.
    if (file !== null) await writeUsers(file, this.#known).catch(() => {})
    return survey
  }
}
