import { Problem } from '#api/problem.ts'
import type { Logger } from '../../log.ts'

/** A build step that was stopped because it filled the disk. */
export type Stopped = { command: string; bytes: number; files: number }
/** Stops the step that fills the disk most, and returns what it was. Null when it finds none. */
export type StopLargest = (by: 'bytes' | 'files') => Promise<Stopped | null>

/** Pause between two stops: the first one may have been enough. */
const reliefMs = 2000
const recentMs = 10_000

/**
 * Stops work that fills the disk, one thing at a time: the step that wrote most, or else the
 * youngest work.
 */
export class WorkStopper {
  readonly #stopLargest: StopLargest | undefined
  readonly #log: Logger
  /** Work that runs and needs space, oldest first. */
  readonly #inside = new Set<AbortController>()
  #stopping = false
  #lastStop = Number.NEGATIVE_INFINITY
  #lastStopped: Stopped | null = null

  constructor(stopLargest: StopLargest | undefined, log: Logger) {
    this.#stopLargest = stopLargest
    this.#log = log
  }

  get isIdle(): boolean {
    return this.#inside.size === 0
  }

  /** The signal aborts with `no-space` when this work is stopped. */
  enter(): { signal: AbortSignal } & Disposable {
    const stop = new AbortController()
    this.#inside.add(stop)
    return { signal: stop.signal, [Symbol.dispose]: () => void this.#inside.delete(stop) }
  }

  /** The build step that was stopped in the last seconds. */
  stoppedLately(): Stopped | null {
    return performance.now() - this.#lastStop < recentMs ? this.#lastStopped : null
  }

  /** Does nothing while it stops something, or shortly after. `facts` are for the log. */
  async stop(by: 'bytes' | 'files', facts: object): Promise<void> {
    if (this.#stopping || performance.now() - this.#lastStop < reliefMs) return

    this.#stopping = true
    const stopped = await this.#stopLargest?.(by).catch((err: unknown) => {
      this.#log.error({ err }, 'could not find what fills the disk')
      return null
    })
    this.#stopping = false

    const youngest = [...this.#inside].at(-1)
    if (!stopped && !youngest) return

    this.#lastStop = performance.now()
    this.#lastStopped = stopped ?? null
    if (stopped)
      this.#log.warn({ ...stopped, ...facts }, 'a build step filled the disk and was stopped')
    else if (youngest) {
      this.#inside.delete(youngest)
      youngest.abort(new Problem('no-space', 'The gateway’s disk is full.'))
    }
  }
}
