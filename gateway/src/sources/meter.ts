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
    if (this.#sentBytes > this.#limits.uploadBytes)
      throw tooLarge(this.#limits.uploadBytes, 'as sent', 'TARMAC_MAX_UPLOAD_MIB')
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
      throw tooLarge(this.#limits.expandedBytes, 'when unpacked', 'TARMAC_MAX_TREE_MIB')
  }
}

const tooLarge = (limitBytes: number, which: string, setting: string): Problem =>
  new Problem(
    'archive-too-large',
    `The limit is ${Math.floor(limitBytes / 2 ** 20)} MiB ${which}. Leave out what the build does not need, such as node_modules, or raise ${setting}.`,
    { facts: { limitBytes } },
  )
