import { expect, test } from 'vitest'
import { bool, bytes, int, many, map, message, one, string } from '../../../gateway/src/llb/wire.ts'

const Inner = message({ name: one(1, string), on: one(2, bool) })
const Outer = message({
  id: one(1, int),
  inner: one(2, Inner),
  list: many(3, Inner),
  labels: map(4, string),
  raw: one(5, bytes),
  numbers: many(6, int),
})

test('a message survives encoding and decoding, with negative numbers, lists and maps', () => {
  const value = {
    id: -1,
    inner: { name: 'ä', on: true },
    list: [{ name: 'a' }, {}],
    labels: { b: '2', a: '' },
    raw: Buffer.from([1, 2]),
    numbers: [0, 300],
  }
  const back = Outer.decode(Outer.encode(value))
  expect(back.id).toBe(-1)
  expect(back.inner).toEqual({ name: 'ä', on: true })
  expect(back.list).toEqual([
    { name: 'a', on: false },
    { name: '', on: false },
  ])
  expect(back.labels).toEqual({ a: '', b: '2' })
  expect([...back.raw]).toEqual([1, 2])
  expect(back.numbers).toEqual([0, 300])
})

test('the bytes equal protoc’s: zero values absent, -1 in ten bytes, maps by key', () => {
  const hex = Buffer.from(Outer.encode({ id: -1, labels: { b: '2', a: '1' } })).toString('hex')
  expect(hex).toBe('08ffffffffffffffffff0122060a016112013122060a0162120132')
  expect(Outer.encode({ id: 0, raw: new Uint8Array(0) })).toHaveLength(0)
  expect(Buffer.from(Outer.encode({ inner: {} })).toString('hex')).toBe('1200')
})

test('unknown fields are skipped and a cut message is an error', () => {
  const More = message({ id: one(1, int), extra: one(9, string) })
  expect(Outer.decode(More.encode({ id: 7, extra: 'x' })).id).toBe(7)
  expect(() => Outer.decode(Outer.encode({ labels: { a: 'long' } }).subarray(0, 5))).toThrow(
    'ends in the middle',
  )
})
