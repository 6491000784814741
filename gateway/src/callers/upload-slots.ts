import { Problem } from '#api/problem.ts'
import type { Principal } from './principal.ts'

/** How many uploads may arrive at once: of all callers, and of one. */
export type UploadsAtOnce = { atOnce: number; perCaller: number }
export const noLimits: UploadsAtOnce = { atOnce: Infinity, perCaller: Infinity }

const retryAfterSeconds = 5

/** Limits how many uploads arrive at once. No caller is exempt: each takes sockets and memory. */
export class UploadSlots {
  readonly #limits: UploadsAtOnce
  readonly #byCaller = new Map<string, number>()
  #all = 0

  constructor(limits: UploadsAtOnce) {
    this.#limits = limits
  }

  /** Holds a slot until the result is disposed. Throws `upload-limit` or `too-many-uploads`. */
  take(caller: Principal): Disposable {
    const key = caller.tokenId ?? caller.name // as an upload that is kept knows its caller
    const own = this.#byCaller.get(key) ?? 0
    const { atOnce, perCaller } = this.#limits
    if (own >= perCaller) throw callerIsFull(perCaller)
    if (this.#all >= atOnce) throw gatewayIsFull(atOnce)

    this.#count(key, 1)
    return { [Symbol.dispose]: () => this.#count(key, -1) }
  }

  #count(key: string, change: 1 | -1): void {
    this.#all += change
    const own = (this.#byCaller.get(key) ?? 0) + change
    if (own > 0) this.#byCaller.set(key, own)
    else this.#byCaller.delete(key)
  }
}

const callerIsFull = (limit: number) =>
  new Problem(
    'upload-limit',
    `${limit} of your uploads arrive now, which is as many as one caller may send at once. Send it again when one of them has ended. The operator of the gateway can raise TARMAC_CALLER_UPLOADS.`,
    { facts: { limit, retryAfterSeconds } },
  )

const gatewayIsFull = (limit: number) =>
  new Problem(
    'too-many-uploads',
    `${limit} uploads of all callers arrive now, which is as many as the gateway takes at once. Send it again in ${retryAfterSeconds} s. The operator of the gateway can raise TARMAC_MAX_UPLOADS.`,
    { facts: { limit, retryAfterSeconds } },
  )
