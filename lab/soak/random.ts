import { createHash } from 'node:crypto'

/** Random numbers by a seed: the same words give the same numbers. */
export class Random {
  readonly #seed: string
  #drawn = 0

  constructor(...words: (string | number)[]) {
    this.#seed = words.join(' ')
  }

  /** From 0 up to 1. */
  fraction(): number {
    return (
      createHash('sha256')
        .update(`${this.#seed} ${this.#drawn++}`)
        .digest()
        .readUInt32BE(0) /
      2 ** 32
    )
  }

  upTo(most: number): number {
    return Math.floor(this.fraction() * (most + 1))
  }

  oneOf<T>(things: readonly T[]): T {
    return things[this.upTo(things.length - 1)]!
  }
}
