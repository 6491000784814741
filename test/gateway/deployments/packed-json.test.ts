import { expect, test } from 'vitest'
import { packJson, unpackJson } from '../../../gateway/src/deployments/packed-json.ts'

test('a long text that occurs several times is written once, and comes back everywhere', () => {
  const text = 'x'.repeat(1000)
  const value = { groups: [{ file: text }, { file: text, __proto__x: [text, 'short'] }], text }
  const json = packJson(value)
  expect(json.length).toBeLessThan(1500)
  expect(unpackJson(json)).toEqual(value)
})

test('a place that is not in the value is an error', () => {
  for (const places of ['[0,"a","b"]', '[0,"a","b","c"]'])
    expect(() => unpackJson(`["packed",{"a":"text"},["x"],[${places}]]`)).toThrow(TypeError)
})
