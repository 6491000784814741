import { byteOrder } from '../go/byte-order.ts'
import { Reader, Writer } from './wire-format.ts'

/**
 * Protocol buffers as values: a message type is a table of fields, which also gives its TypeScript
 * type. It supports what BuildKit's messages use: varints, strings, bytes, messages, lists, maps.
 * The output is deterministic: fields in the order of the table, maps by key. Zero values are left
 * out, as in proto3. An absent message decodes to undefined.
 */
type Codec<Out, In = Out, Empty = Out> = {
  /** The wire type: 0 for numbers, 2 for everything with a length. */
  wire: 0 | 2
  /** What an absent value decodes to. */
  empty: Empty
  isEmpty(value: In): boolean
  write(to: Writer, value: In): void
  read(from: Reader): Out
}
type Field<Out, In> = {
  no: number
  empty(): Out
  write(to: Writer, value: In): void
  read(from: Reader, wire: number, sofar: Out): Out
}
// oxlint-disable-next-line typescript/no-explicit-any -- a table holds fields of every type; each keeps its own
type Fields = Record<string, Field<any, any>>
type OutOf<F extends Fields> = {
  [K in keyof F]: F[K] extends Field<infer Out, infer _> ? Out : never
}
type InOf<F extends Fields> = {
  [K in keyof F]?: (F[K] extends Field<infer _, infer In> ? In : never) | undefined
}
export type Message<F extends Fields> = Codec<OutOf<F>, InOf<F>, undefined> & {
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
      const fieldValue = value[name]
      if (fieldValue !== undefined) field.write(to, fieldValue)
    }
  }

  const decode = (bytes: Uint8Array): OutOf<F> => {
    const from = new Reader(bytes)
    const value: Record<string, unknown> = {}
    for (const [name, field] of Object.entries(fields)) value[name] = field.empty()
    while (!from.atEnd) {
      const key = from.varint()
      const known = byNumber.get(key >>> 3)
      if (known) value[known.name] = known.field.read(from, key & 7, value[known.name])
      else from.skip(key & 7)
    }
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each field of the table has set its own value
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
export const one = <Out, In, Empty>(
  no: number,
  codec: Codec<Out, In, Empty>,
): Field<Out | Empty, In> => ({
  no,
  empty: () => codec.empty,
  write(to, value) {
    if (codec.isEmpty(value)) return
    to.key(no, codec.wire)
    codec.write(to, value)
  },
  read: (from, wire) => (from.expect(wire, codec.wire), codec.read(from)),
})

export const many = <Out, In, Empty>(
  no: number,
  codec: Codec<Out, In, Empty>,
): Field<Out[], readonly In[]> => ({
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
      while (!packed.atEnd) sofar.push(codec.read(packed))
    } else {
      from.expect(wire, codec.wire)
      sofar.push(codec.read(from))
    }
    return sofar
  },
})

/** A map with string keys, written in the byte order of its keys. */
export const map = <Out, In, Empty>(
  no: number,
  codec: Codec<Out, In, Empty>,
): Field<Record<string, Out | Empty>, Record<string, In>> => {
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
      sofar[key] = value
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
