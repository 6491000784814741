import { randomBytes } from 'node:crypto'
import type { MirrorFailure } from './mirror-failure.ts'

/** How a push through the mirror ended. `stopped`: for a reason that is not the mirror's fault. */
export type MirrorOutcome = 'pushed' | 'failed' | 'stopped'

type About = { app: string; host: string; machine: string | null; registry: string }

/**
 * One push through the proxy. The build daemon logs in with a password that only this push has, so
 * the proxy knows which push a request belongs to, and serves nobody else.
 */
export class MirrorPush {
  readonly app: string
  /** The proxy, as `host:port`. */
  readonly host: string
  /** The machine of Fly that the gateway runs in. Null: it runs in none. */
  readonly machine: string | null
  /** The registry that must get a copy. */
  readonly registry: string
  readonly login = { user: 'push', secret: randomBytes(24).toString('hex') }
  readonly #ended: (outcome: MirrorOutcome, why?: string) => void
  readonly #stop = new AbortController()
  #failure: MirrorFailure | null = null
  #open = true

  constructor(
    { app, host, machine, registry }: About,
    ended: (outcome: MirrorOutcome, why?: string) => void,
  ) {
    this.app = app
    this.host = host
    this.machine = machine
    this.registry = registry
    this.#ended = ended
  }

  /** Aborts when the push has failed or ended: no request of it goes on. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  /** The first thing that went wrong at the mirror. */
  get failure(): MirrorFailure | null {
    return this.#failure
  }

  fail(failure: MirrorFailure): void {
    this.#failure ??= failure
    this.#stop.abort(failure)
  }

  /** The mirror has the image, and the registry too. */
  succeeded(): void {
    this.#end('pushed')
  }

  /** `why`: words that follow "the mirror". */
  failed(why: string): void {
    this.#end('failed', why)
  }

  [Symbol.dispose](): void {
    this.#end('stopped')
  }

  #end(outcome: MirrorOutcome, why?: string): void {
    if (!this.#open) return
    this.#open = false
    this.#stop.abort()
    this.#ended(outcome, why)
  }
}
