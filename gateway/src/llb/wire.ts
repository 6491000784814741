import { byteOrder } from '../go/byte-order.ts'

/**
 * Protocol buffers as values: a message type is a table of fields, which also gives its TypeScript
 * type. It supports what BuildKit's messages use: varints, strings, bytes, messages, lists, maps.
 * The output is deterministic: fields in the order of the table, maps by key. Zero values are left
 * out, as in proto3. An absent message decodes to undefined.
 */
type Wire = 0 | 1 | 2 | 5
export type Codec<Out, In = Out> = {
  wire: 0 | 2
  empty: Out
  isEmpty(value: In): boolean
  write(to: Writer, value: In): void
  read(from: Reader): Out
}
type Field<Out, In> = {
  no: number
  empty(): Out
  write(to: Writer, value: In): void
  read(from: Reader, wire: Wire, sofar: Out): Out
}
// oxlint-disable-next-line typescript/no-explicit-any -- a table holds fields of every type; each keeps its own
type Fields = Record<string, Field<any, any>>
type OutOf<F extends Fields> = {
  [K in keyof F]: F[K] extends Field<infer Out, infer _> ? Out : never
}
type InOf<F extends Fields> = {
  [K in keyof F]?: (F[K] extends Field<infer _, infer In> ? In : never) | undefined
}
export type Message<F extends Fields> = Codec<OutOf<F> | undefined, InOf<F>> & {
  encode(value: InOf<F>): Uint8Array
  decode(bytes: Uint8Array): OutOf<F>
}
/** The result of decoding. */
export type Decoded<M> = M extends Message<infer F> ? OutOf<F> : never
/** The input of encoding: every field is optional. */
export type Encodable<M> = M extends Message<infer F> ? InOf<F> : never

export function message<F extends Fields>(fields: F): Message<F> {
  const byNumber = new Map(
    Object.entries(fields).map(([name, field]) => [field.no, { name, field }]),
  )

  const body = (to: Writer, value: InOf<F>) => {
    for (const [name, field] of Object.entries(fields)) {
      const given = value[name]
      if (given !== undefined) field.write(to, given)
    }
  }

  const decode = (bytes: Uint8Array): OutOf<F> => {
    const from = new Reader(bytes)
    const value: Record<string, unknown> = {}
    for (const [name, field] of Object.entries(fields)) value[name] = field.empty()
    while (!from.atEnd) {
      const key = from.varint()
      const known = byNumber.get(key >>> 3)
      if (known) value[known.name] = known.field.read(from, (key & 7) as Wire, value[known.name])
      else from.skip((key & 7) as Wire)
    }
    return value as OutOf<F>
  }

  const encode = (value: InOf<F>): Uint8Array => {
    const to = new Writer()
    body(to, value)
    return to.finish()
  }

  return {
    wire: 2,
    empty: undefined,
    isEmpty: () => false, // a message that is set is sent, even if it is empty
    write: (to, value) => to.bytes(encode(value)),
    read: (from) => decode(from.bytes()),
    encode,
    decode,
  }
}

/** A single value. An absent message decodes to undefined, and an absent scalar to zero. */
export const one = <Out, In>(no: number, codec: Codec<Out, In>): Field<Out, In> => ({
  no,
  empty: () => codec.empty,
  write(to, value) {
    if (codec.isEmpty(value)) return
    to.key(no, codec.wire)
    codec.write(to, value)
  },
  read: (from, wire) => (from.expect(wire, codec.wire), codec.read(from)),
})

export const many = <Out, In>(
  no: number,
  codec: Codec<Out, In>,
): Field<NonNullable<Out>[], readonly In[]> => ({
  no,
  empty: () => [],
  write(to, values) {
    for (const value of values) {
      to.key(no, codec.wire)
      codec.write(to, value)
    }
  },
  read(from, wire, sofar) {
    if (wire === 2 && codec.wire === 0) {
      const packed = new Reader(from.bytes())
      while (!packed.atEnd) sofar.push(codec.read(packed) as NonNullable<Out>)
    } else {
      from.expect(wire, codec.wire)
      sofar.push(codec.read(from) as NonNullable<Out>)
    }
    return sofar
  },
})

/** A map with string keys, written in the byte order of its keys. */
export const map = <Out, In>(
  no: number,
  codec: Codec<Out, In>,
): Field<Record<string, NonNullable<Out>>, Record<string, In>> => {
  const entry = message({ key: one(1, string), value: one(2, codec) })
  return {
    no,
    empty: () => ({}),
    write(to, values) {
      for (const key of Object.keys(values).toSorted(byteOrder)) {
        to.key(no, 2)
        entry.write(to, { key, value: values[key] })
      }
    },
    read(from, wire, sofar) {
      from.expect(wire, 2)
      const { key, value } = entry.decode(from.bytes())
      sofar[key] = (value ?? codec.empty) as NonNullable<Out>
      return sofar
    },
  }
}

export const string: Codec<string> = {
  wire: 2,
  empty: '',
  isEmpty: (value) => value === '',
  write: (to, value) => to.bytes(Buffer.from(value)),
  read: (from) => Buffer.from(from.bytes()).toString(),
}
export const bytes: Codec<Uint8Array> = {
  wire: 2,
  empty: new Uint8Array(0),
  isEmpty: (value) => value.length === 0,
  write: (to, value) => to.bytes(value),
  read: (from) => from.bytes(),
}
export const bool: Codec<boolean> = {
  wire: 0,
  empty: false,
  isEmpty: (value) => !value,
  write: (to, value) => to.varint(value ? 1 : 0),
  read: (from) => from.varint() !== 0,
}
/** Encodes int32, int64, uint32, uint64 and enums, within ±2^53. */
export const int: Codec<number> = {
  wire: 0,
  empty: 0,
  isEmpty: (value) => value === 0,
  write: (to, value) => to.varint(value),
  read: (from) => from.varint(),
}
/** google.protobuf.Timestamp, as milliseconds since 1970. */
export const Timestamp = message({ seconds: one(1, int), nanos: one(2, int) })
export const millis = (time: Decoded<typeof Timestamp>): number =>
  time.seconds * 1000 + time.nanos / 1e6

class Writer {
  readonly #deps: Uint8Array[] = []

  key(no: number, wire: 0 | 2): void {
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
    this.#deps.push(Uint8Array.from(out))
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length)
    this.#deps.push(value)
  }

  finish(): Uint8Array {
    return Buffer.concat(this.#deps)
  }
}

class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  expect(wire: Wire, wanted: Wire): void {
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

  skip(wire: Wire): void {
    if (wire === 0) this.varint()
    else if (wire === 2) this.bytes()
    else this.#at += wire === 1 ? 8 : 4
  }
}
