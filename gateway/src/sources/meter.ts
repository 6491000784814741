import { Problem } from '#api/problem.ts'
import type { Limits } from './limits.ts'

/** Counts the bytes sent and unpacked, and refuses when either count exceeds its limit. */
export class Meter {
  readonly #limits: Limits
  #sentBytes = 0
  #expandedBytes = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  sent(bytes: number): void {
    this.#sentBytes += bytes
    if (this.#sentBytes > this.#limits.uploadBytes) throw tooLarge('sent', this.#limits.uploadBytes)
  }

  expanded(bytes: number): void {
    this.#expandedBytes += bytes
    this.mayExpand(0)
    const { ratio, ratioFromBytes } = this.#limits
    if (this.#expandedBytes > ratioFromBytes && this.#expandedBytes > ratio * this.#sentBytes)
      throw new Problem(
        'archive-ratio',
        `It unpacks to more than ${ratio} times its size. Leave such files out.`,
        { facts: { limit: ratio } },
      )
  }

  /** Refuses an announced size early if it exceeds the limit. */
  mayExpand(bytes: number): void {
    if (this.#expandedBytes + bytes > this.#limits.expandedBytes)
      throw tooLarge('unpacked', this.#limits.expandedBytes)
  }
}

const tooLarge = (reason: string, limitBytes: number): Problem =>
  new Problem(
    'archive-too-large',
    `It may have ${limitBytes} bytes ${reason}. Leave out what the build does not need, such as node_modules.`,
    { facts: { limitBytes } },
  )
