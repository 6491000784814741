import type { DriftStatus } from '#api/drift/drift-status.ts'
import { pause } from '#api/flow/retry.ts'
import { asProblem, Problem } from '#api/problem.ts'
import { isUnavailable, statusOf } from '#fly/fly-calls.ts'
import type { DriftStore } from '../deployments/drift/drift-store.ts'
import type { PreviewStore } from '../deployments/previews/preview-store.ts'
import type { ReleaseStore } from '../deployments/release-store.ts'
import type { Logger } from '../log.ts'
import type { Drift } from './drift.ts'

export type DailyDeps = {
  drift: Pick<Drift, 'lookDaily' | 'failed' | 'list'>
  /** Repairs the routes of apps with a router. */
  ownerRoutes: { sync(app: string, signal: AbortSignal): Promise<unknown> }
  store: {
    drift: DriftStore
    releases: Pick<ReleaseStore, 'flyApps'>
    previews: Pick<PreviewStore, 'ofFlyApp'>
  }
  log: Pick<Logger, 'info' | 'warn'>
  now?: () => number
  /** Between two apps. Default: 1 s. */
  pauseMs?: number
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** After a start, and between the end of a look that left apps out and the next. */
const [firstMs, againMs] = [20_000, hourMs]
/** For one app: Fly allows one certificate a second. */
const appMs = 10 * 60_000
/** A look keeps the gateway awake for so long at most. The next start goes on with it. */
const mostAwakeMs = 30 * 60_000
const maxShown = 100
/** After so many apps in a row for which Fly is unavailable, the look stops. It goes on later. */
const mostSilent = 3

/** An app for which Fly was unavailable. */
type Silent = { app: string; problem: Problem }

/**
 * Looks at all apps with releases once a day, one after the other, and at a start if the last look is
 * older or did not end. The timer keeps no process awake.
 */
export class DailyLook {
  readonly #deps: Required<DailyDeps>
  readonly #stopping = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()
  /** Until when the gateway stays awake for it, in the time of `now`. */
  #awakeUntil = 0
  #isRunning = false
  #problem: string | null = null

  static async start(deps: DailyDeps): Promise<DailyLook> {
    const daily = new DailyLook(deps)
    await daily.#schedule(firstMs)
    return daily
  }

  private constructor(deps: DailyDeps) {
    this.#deps = { now: Date.now, pauseMs: 1000, ...deps }
  }

  /** Whether the machine must stay awake: a look is due within seconds, or runs. */
  get isBusy(): boolean {
    return this.#deps.now() < this.#awakeUntil
  }

  /** For `GET /v1/status`. */
  async status(): Promise<DriftStatus> {
    const { checkedAt, looked, apps } = await this.#deps.drift.list()
    const drifted = apps.filter(({ findings }) => findings.length > 0)
    const failed = apps.find(({ problem }) => problem !== null)
    const first = failed && `${failed.app} could not be looked at: ${failed.problem}`
    return {
      checkedAt,
      running: this.#isRunning,
      looked,
      drifted: drifted.length,
      apps: drifted.slice(0, maxShown).map(({ app, findings }) => ({
        app,
        findings: findings.length,
        since: findings.map(({ since }) => since ?? '').toSorted()[0] ?? '',
      })),
      problem: this.#problem ?? first ?? null,
    }
  }

  /** Looks at all apps that this day's look has not seen yet. A failure is logged. */
  async look(): Promise<void> {
    const { log, now } = this.#deps
    this.#isRunning = true
    this.#awakeUntil = now() + mostAwakeMs
    try {
      await this.#pass()
      this.#problem = null
    } catch (error) {
      if (this.#stopping.signal.aborted) return
      this.#problem = asProblem(error).message
      log.warn(
        { problem: this.#problem },
        'the daily look for drift was cut short; it goes on later',
      )
    } finally {
      this.#isRunning = false
      this.#awakeUntil = 0
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    clearTimeout(this.#timer)
    await this.#running
  }

  async #pass(): Promise<void> {
    const { store, log, now, pauseMs } = this.#deps
    const { signal } = this.#stopping
    const last = await store.drift.pass()
    const goesOn = last?.isOver === false && Date.parse(last.beganAt) + dayMs > now()
    const beganAt = goesOn ? last.beganAt : timeOf(now())
    const checkedAt = last?.checkedAt ?? null
    if (!goesOn) await store.drift.savePass({ beganAt, isOver: false, checkedAt })

    const found = { looked: 0, drifted: 0, failed: 0 }
    const silent: Silent[] = []
    for (const app of await store.releases.flyApps()) {
      signal.throwIfAborted()
      // A preview is gone within hours, and is compared with Fly every few minutes.
      if (await store.previews.ofFlyApp(app)) continue
      const before = await store.drift.find(app)
      if (before && before.lookedAt >= beganAt) continue
      const seen = await this.#lookAt(app)
      found.looked++
      if (seen instanceof Problem) silent.push({ app, problem: seen })
      else found.failed += await this.#noteSilent(silent)
      if (silent.length === mostSilent) break
      if (seen === null) found.failed++
      else if (typeof seen === 'number' && seen > 0) found.drifted++
      await pause(pauseMs, signal)
    }
    // Fly may be unavailable for all apps, so these are asked again.
    if (silent[0]) throw silent[0].problem
    await store.drift.savePass({ beganAt, isOver: true, checkedAt: timeOf(now()) })
    log.info(found, 'looked at all apps for drift')
  }

  /** Fly answers for another app, so that its silence was about these alone. Returns their number. */
  async #noteSilent(silent: Silent[]): Promise<number> {
    const all = silent.splice(0)
    for (const { app, problem } of all) await this.#deps.drift.failed(app, problem.message)
    return all.length
  }

  /**
   * Returns how many findings the app has. Null: it could not be looked at. A Problem: Fly was
   * unavailable.
   */
  async #lookAt(app: string): Promise<number | null | Problem> {
    const { drift, store, ownerRoutes } = this.#deps
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(appMs)])
    try {
      await ownerRoutes.sync(app, signal)
      return await drift.lookDaily(app, signal)
    } catch (error) {
      this.#stopping.signal.throwIfAborted()
      const problem = asProblem(error)
      // It was deleted at Fly: there is nothing to compare any more.
      if (problem.code === 'app-not-found') {
        await store.drift.forget(app)
        return 0
      }
      if (isUnavailable(error) || statusOf(error) === 401) return problem
      await drift.failed(app, problem.message)
      return null
    }
  }

  /** When the next look is due. A look that did not end is due at once. */
  async #schedule(leastMs: number): Promise<void> {
    const { store, now } = this.#deps
    const last = await store.drift.pass()
    const dueMs = last?.isOver ? Date.parse(last.beganAt) + dayMs - now() : 0
    // A wake that is short must not end before the look begins.
    if (dueMs <= 0 && leastMs === firstMs) this.#awakeUntil = now() + 2 * firstMs
    this.#timer = setTimeout(
      () => {
        this.#running = this.look().then(async () => {
          if (!this.#stopping.signal.aborted) await this.#schedule(againMs)
        })
      },
      Math.max(leastMs, dueMs),
    ).unref()
  }
}

const timeOf = (ms: number): string => new Date(ms).toISOString()
