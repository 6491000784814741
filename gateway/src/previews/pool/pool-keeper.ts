import { setTimeout as sleep } from 'node:timers/promises'
import type { ImageFacts } from '#api/deployment.ts'
import type { Pool } from '#api/previews/pool.ts'
import type { Preview } from '#api/previews/preview.ts'
import { asProblem } from '#api/problem.ts'
import { findPooledImage } from '../../commands/pools/pooled-image.ts'
import type { Claims } from '../../commands/previews/claims.ts'
import type { Submissions } from '../../commands/submissions.ts'
import { findTemplate } from '../../commands/templates/open-templates.ts'
import { fitsOf, isPooled, type PoolEntry } from '../../deployments/previews/pool-store.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { Logger } from '../../log.ts'
import { type FillDeps, fillPool } from './fill.ts'
import { nextStep } from './next-step.ts'
import { restEntry, type RestDeps } from './rest.ts'

export type PoolKeeperDeps = RestDeps &
  FillDeps & {
    store: Pick<DeploymentStore, 'templates' | 'pools'>
    submissions: Pick<Submissions, 'look'>
    claims: Pick<Claims, 'start'>
    log: Pick<Logger, 'error' | 'info'>
  }
/** `pooled`: the most entries of all pools. `sweepMs`: how often an image's name is looked up. */
export type PoolSettings = { pooled: number; sweepMs: number }

/** A request that took an entry is answered first: the next entry would take its time. */
const calmMs = 250
const firstPauseMs = 5000
const longestPauseMs = 3_600_000

/**
 * Keeps each pool as it was set: one step at a time, so that a pool that fills takes little of what
 * Fly allows. A pool that fails waits, longer each time.
 */
export class PoolKeeper {
  readonly #deps: PoolKeeperDeps
  readonly #settings: PoolSettings
  readonly #stopping = new AbortController()
  readonly #listening: Disposable
  /** By pool, and when it was set. */
  readonly #images = new Map<string, { image: ImageFacts; untilMs: number }>()
  readonly #pauses = new Map<string, { failures: number; untilMs: number }>()
  #woken = Promise.withResolvers<void>()
  readonly #running: Promise<unknown>

  constructor(deps: PoolKeeperDeps, settings: PoolSettings) {
    this.#deps = deps
    this.#settings = settings
    this.#listening = deps.store.previews.onChange(() => this.#woken.resolve())
    this.#running = Promise.all([this.#run(), this.#startClaimed()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listening[Symbol.dispose]()
    this.#stopping.abort()
    this.#woken.resolve()
    await this.#running
  }

  /** Requests had taken these when the gateway ended. */
  async #startClaimed(): Promise<void> {
    const { store, claims } = this.#deps
    const left = (await store.previews.living()).filter(isBeingClaimed)
    await Promise.all(left.map((preview) => claims.start(preview).catch(() => {}))) // it has logged
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      this.#woken = Promise.withResolvers()
      const hasWorked = await this.#round().catch((err: unknown) => {
        if (!signal.aborted) this.#deps.log.error({ err }, 'pools could not be looked at')
        return false
      })
      if (!hasWorked && !signal.aborted) await this.#wait()
    }
  }

  async #wait(): Promise<void> {
    const ends = [...this.#pauses.values()].map(({ untilMs }) => untilMs - performance.now())
    const ms = Math.min(this.#settings.sweepMs, ...ends.filter((left) => left > 0))
    const timer = setTimeout(() => this.#woken.resolve(), ms)
    await this.#woken.promise
    clearTimeout(timer)
    await sleep(calmMs, undefined, { signal: this.#stopping.signal }).catch(() => {})
  }

  /** At most one step for each pool. Returns whether there was one. */
  async #round(): Promise<boolean> {
    const { pools } = this.#deps.store
    const all = await pools.list()
    let hasWorked = false
    for (const pool of all) hasWorked = (await this.#tend(pool)) || hasWorked
    for (const entry of await pools.entries())
      if (entry.state !== 'destroying' && !all.some((pool) => isOf(pool, entry)))
        hasWorked = (await pools.drop(entry.id)) || hasWorked
    return hasWorked
  }

  async #tend(pool: Pool): Promise<boolean> {
    const key = `${pool.app} ${pool.template} ${pool.setAt}`
    const { signal } = this.#stopping
    if (signal.aborted || performance.now() < (this.#pauses.get(key)?.untilMs ?? 0)) return false
    try {
      const hasWorked = await this.#step(pool, key)
      this.#pauses.delete(key)
      if (pool.problem !== null) await this.#deps.store.pools.note(pool, null)
      return hasWorked
    } catch (err) {
      if (signal.aborted) return false
      const failures = (this.#pauses.get(key)?.failures ?? 0) + 1
      const pauseMs = Math.min(firstPauseMs * 2 ** (failures - 1), longestPauseMs)
      this.#pauses.set(key, { failures, untilMs: performance.now() + pauseMs })
      const { app, template } = pool
      this.#deps.log.error({ err, app, template, pauseMs }, 'pool could not be kept; tried again')
      await this.#deps.store.pools.note(pool, asProblem(err).body())
      return false
    }
  }

  async #step(pool: Pool, key: string): Promise<boolean> {
    const { store } = this.#deps
    const { signal } = this.#stopping
    const { app, size, rest, region } = pool
    const { name, version } = await findTemplate(store, { app, name: pool.template, version: null })
    const image = await this.#imageOf(pool, key)
    const template = { name, version }
    const all = await store.pools.entries()
    const step = nextStep(
      all.filter((entry) => isOf(pool, entry)),
      {
        size,
        fits: fitsOf({ template, image, region }),
        hasRoom: all.length < this.#settings.pooled,
        nowMs: Date.now(),
      },
    )
    if (step?.do === 'rest') await restEntry(step.entry, rest, this.#deps, signal)
    if (step?.do === 'drop') await store.pools.drop(step.entry.id)
    if (step?.do === 'fill') {
      // Requests go first. The next look comes when this one has its preview.
      if ((await store.previews.living()).some(isBeingClaimed)) return false
      await fillPool(pool, { template, image }, this.#deps, signal)
    }
    return step !== null
  }

  /** What its image's name means. A tag may move. */
  async #imageOf({ app, image }: Pool, key: string): Promise<ImageFacts> {
    const known = this.#images.get(key)
    if (known && performance.now() < known.untilMs) return known.image
    const found = await findPooledImage(app, image, this.#deps.submissions)
    const untilMs = performance.now() + this.#settings.sweepMs
    this.#images.set(key, { image: found, untilMs })
    return found
  }
}

const isOf = ({ app, template }: Pool, entry: PoolEntry): boolean =>
  entry.app === app && entry.template?.name === template

/** Whether a request has taken it, and its machine is being started. */
const isBeingClaimed = (preview: Preview): boolean =>
  preview.fromPool && preview.state === 'starting' && !isPooled(preview)
