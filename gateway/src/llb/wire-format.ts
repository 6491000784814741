/** Writes values in protobuf's wire format. */
export class Writer {
  readonly #parts: Uint8Array[] = []

  key(no: number, wire: number): void {
    this.varint((no << 3) | wire)
  }

  varint(value: number): void {
    const out: number[] = []
    if (value >= 0) {
      let rest = value
      for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) out.push((rest % 0x80) | 0x80)
      out.push(rest)
    } else {
      // A negative number is written as its 64-bit two's complement: ten bytes.
      let rest = BigInt.asUintN(64, BigInt(value))
      for (; rest > 0x7fn; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80)
      out.push(Number(rest))
    }
    this.#parts.push(Uint8Array.from(out))
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length)
    this.#parts.push(value)
  }

  finish(): Uint8Array {
    return Buffer.concat(this.#parts)
  }
}

/** Reads values in protobuf's wire format. Throws if the bytes are not valid. */
export class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  expect(wire: number, wanted: number): void {
    if (wire !== wanted) throw new Error(`protobuf: wire type ${wire} where ${wanted} was expected`)
  }

  varint(): number {
    const first = this.#bytes[this.#at]
    if (first !== undefined && first < 0x80) return (this.#at++, first)
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new Error('protobuf: message ends in the middle of a number')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return Number(BigInt.asIntN(64, value))
    }
    throw new Error('protobuf: number longer than ten bytes')
  }

  bytes(): Uint8Array {
    const length = this.varint()
    const end = this.#at + length
    if (length < 0 || end > this.#bytes.length)
      throw new Error('protobuf: message ends in the middle of a field')
    const value = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return value
  }

  skip(wire: number): void {
    if (wire === 0) this.varint()
    else if (wire === 2) this.bytes()
    else this.#at += wire === 1 ? 8 : 4
  }
}
