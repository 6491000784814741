import { asProblem } from '#api/problem.ts'
import type { SweepStatus } from '#api/previews/previews-status.ts'
import type { Awake } from '../awake/awake.ts'
import { type SweepDeps, sweepPreviews } from './sweep.ts'

type Deps = SweepDeps & { awake: Pick<Awake, 'during'> }

/** Sweeps previews at the start of the gateway, and then every `everyMs`. */
export class PreviewSweeps {
  readonly #deps: Deps
  readonly #everyMs: number
  readonly #stopping = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void>
  #status: SweepStatus = { at: null, orphans: [], gone: [], failures: [], problem: null }

  constructor(deps: Deps, everyMs: number) {
    this.#deps = deps
    this.#everyMs = everyMs
    this.#running = this.#run()
  }

  /** Of the last sweep. */
  get status(): SweepStatus {
    return this.#status
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    clearTimeout(this.#timer)
    await this.#running
  }

  async #run(): Promise<void> {
    const { awake, log } = this.#deps
    const { signal } = this.#stopping
    try {
      const swept = await awake.during('sweeps', () => sweepPreviews(this.#deps, signal))
      this.#status = { at: new Date().toISOString(), ...swept, problem: null }
    } catch (err) {
      if (signal.aborted) return
      log.error({ err }, 'sweep of previews failed')
      this.#status = { ...this.#status, problem: asProblem(err).message }
    }
    if (signal.aborted) return
    this.#timer = setTimeout(() => (this.#running = this.#run()), this.#everyMs)
  }
}
