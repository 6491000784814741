import { retry } from '#api/flow/retry.ts'
import { asProblem } from '#api/problem.ts'
import { aliveStates, type Preview } from '#api/previews/preview.ts'
import type { PreviewStore } from '../deployments/previews/preview-store.ts'
import type { Logger } from '../log.ts'

export type KeeperDeps = {
  previews: PreviewStore
  /** Removes all that a preview has on Fly. May be called again after a failure or a crash. */
  remove: (preview: Preview, signal: AbortSignal) => Promise<void>
  log: Pick<Logger, 'info' | 'error'>
}

/** A timer may fire a little early. */
const slackMs = 20
/** Some other reason to look may have been lost. */
const mostMs = 60_000
const longestPauseMs = 60_000

/**
 * Ends previews: those whose time is over, and all that are `destroying`. Looks whenever one has
 * changed, and at the end of each. A removal that fails is tried again until it succeeds, after
 * growing pauses, and the record says why it failed.
 */
export class PreviewKeeper {
  readonly #deps: KeeperDeps
  readonly #stopping = new AbortController()
  readonly #removals = new Map<string, Promise<void>>()
  readonly #listening: Disposable
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | null = null
  #again = false

  constructor(deps: KeeperDeps) {
    this.#deps = deps
    this.#listening = deps.previews.onChange(() => this.#wake())
    this.#wake()
  }

  /** Waits for the removals that run. They go on after the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listening[Symbol.dispose]()
    this.#stopping.abort()
    clearTimeout(this.#timer)
    await this.#looking
    await Promise.all(this.#removals.values())
  }

  #wake(): void {
    this.#again = true
    this.#looking ??= this.#lookWhileNeeded().finally(() => {
      this.#looking = null
      // It may have been woken between its last look and here.
      if (this.#again && !this.#stopping.signal.aborted) this.#wake()
    })
  }

  async #lookWhileNeeded(): Promise<void> {
    while (this.#again && !this.#stopping.signal.aborted) {
      this.#again = false
      await this.#look().catch((err: unknown) => {
        this.#deps.log.error({ err }, 'previews could not be looked at')
        this.#wakeIn(mostMs)
      })
    }
  }

  async #look(): Promise<void> {
    const { previews } = this.#deps
    let nextMs = mostMs
    for (const preview of await previews.living()) {
      const leftMs = Date.parse(preview.expiresAt) - Date.now()
      if (preview.state === 'destroying') this.#remove(preview)
      else if (leftMs > 0) nextMs = Math.min(nextMs, leftMs)
      else await previews.move(preview.id, aliveStates, 'destroying', { ending: expired }) // comes back here
    }
    this.#wakeIn(nextMs + slackMs)
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#wake(), ms)
  }

  #remove(preview: Preview): void {
    if (this.#removals.has(preview.id) || this.#stopping.signal.aborted) return
    const removal = this.#untilRemoved(preview).finally(() => this.#removals.delete(preview.id))
    this.#removals.set(preview.id, removal)
  }

  async #untilRemoved(preview: Preview): Promise<void> {
    const { previews, remove, log } = this.#deps
    const { signal } = this.#stopping
    const { id, flyApp, ending } = preview
    const removal = async () => {
      await remove(preview, signal)
      const to = ending?.why === 'failed' ? 'failed' : 'destroyed'
      await previews.move(id, ['destroying'], to)
    }
    const onRetry = (err: unknown, pauseMs: number) => {
      log.error({ err, preview: id, flyApp, pauseMs }, 'preview could not be removed; tried again')
      void previews.note(id, asProblem(err).body()).catch((error: unknown) => {
        log.error({ err: error, preview: id }, 'the failure was not recorded')
      })
    }
    const policy = { isRetryable: () => true, pauseMs: pauseBefore, onRetry }
    await retry(removal, policy, signal).then(
      () => log.info({ preview: id, flyApp, why: ending?.why }, 'preview removed'),
      () => {}, // the gateway stops
    )
  }
}

const pauseBefore = (attempt: number) => Math.min(250 * 2 ** attempt, longestPauseMs)
const expired = { why: 'expired', by: null } as const
