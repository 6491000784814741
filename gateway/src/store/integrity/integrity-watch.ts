import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { z } from 'zod'
import type { Logger } from '../../log.ts'
import type { Check } from './integrity-of.ts'

const everyMs = 24 * 3_600_000

/** Checks the whole database in the background: quickly at the start, thoroughly every day. */
export class IntegrityWatch {
  readonly #path: string
  readonly #log: Logger
  readonly #timer: NodeJS.Timeout
  readonly #stop = new AbortController()
  #looking: Promise<void> | undefined
  #state = { ok: true, detail: 'not looked through yet' }

  constructor(path: string, log: Logger) {
    this.#path = path
    this.#log = log
    this.#timer = setInterval(() => void this.look('integrity_check'), everyMs)
    void this.look('quick_check')
  }

  state(): { ok: boolean; detail: string } {
    return this.#state
  }

  /** Never fails. One check runs at a time: a call during a check gets that one. */
  look(check: Check): Promise<void> {
    return (this.#looking ??= this.#look(check).finally(() => (this.#looking = undefined)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    this.#stop.abort()
    await this.#looking
  }

  async #look(check: Check): Promise<void> {
    const startedAt = performance.now()
    const workerData = { path: this.#path, check }
    const worker = new Worker(new URL('./integrity-worker.ts', import.meta.url), { workerData })

    try {
      const [message]: unknown[] = await once(worker, 'message', { signal: this.#stop.signal })
      const found = z.string().nullable().parse(message)
      const ms = Math.round(performance.now() - startedAt)
      const at = new Date().toISOString()
      this.#state =
        found === null
          ? { ok: true, detail: `whole at ${at} (${check})` }
          : {
              ok: false,
              detail: `damaged, found at ${at}: ${found}; restore a backup with tarmac-gateway restore`,
            }
      if (found === null) this.#log.info({ check, ms }, 'database is whole')
      else this.#log.error({ check, ms, found }, 'database is damaged')
    } catch (err) {
      if (!this.#stop.signal.aborted)
        this.#log.warn({ check, err }, 'database could not be checked')
    } finally {
      await worker.terminate()
    }
  }
}
