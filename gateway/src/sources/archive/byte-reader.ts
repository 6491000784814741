const none = Buffer.alloc(0)

/** Cuts a stream of pieces into the lengths that the caller asks for. */
export class ByteReader {
  readonly #pieces: AsyncIterator<Buffer>
  #held: Buffer = none

  constructor(pieces: AsyncIterable<Buffer>) {
    this.#pieces = pieces[Symbol.asyncIterator]()
  }

  /** The next `size` bytes, or fewer if the stream ends first. */
  async take(size: number): Promise<Buffer> {
    if (this.#held.length < size) await this.#gather(size)
    return this.#cut(size)
  }

  /** The next available bytes, at most `max`. Empty only at the end. */
  async some(max: number): Promise<Buffer> {
    if (this.#held.length === 0) await this.#gather(1)
    return this.#cut(max)
  }

  /** The same bytes as the next `take` gives. */
  async peek(size: number): Promise<Buffer> {
    if (this.#held.length < size) await this.#gather(size)
    return this.#held.subarray(0, size)
  }

  async #gather(size: number): Promise<void> {
    const pieces = [this.#held]
    for (let length = this.#held.length; length < size;) {
      const next = await this.#pieces.next()
      if (next.done) break
      pieces.push(next.value)
      length += next.value.length
    }
    this.#held = Buffer.concat(pieces)
  }

  #cut(size: number): Buffer {
    const cut = this.#held.subarray(0, size)
    this.#held = this.#held.subarray(size)
    return cut
  }
}
