import { expect, test } from 'vitest'
import { jsonLimits, parseJson } from '../../../gateway/src/host/parse-json.ts'

const nested = (depth: number, open = '[', close = ']') => open.repeat(depth) + close.repeat(depth)

test('JSON within the limits is read unchanged', () => {
  expect(parseJson(nested(jsonLimits.depth))).toBeInstanceOf(Array)
  expect(parseJson(`[${'1,'.repeat(40_000)}1]`)).toHaveLength(40_001)
  expect(parseJson(JSON.stringify({ a: '[[[{{{,,,"\\', b: [null] }))).toEqual({
    a: '[[[{{{,,,"\\',
    b: [null],
  })
})

test.each([
  ['lists', nested(1_000_000)],
  ['objects', '{"a":'.repeat(200_000)],
  ['lists after texts that look like ends', `["]]]]",${nested(200)}]`],
  ['lists after a quote with a backslash', `["\\"]",${nested(200)}]`],
])('deep %s are refused without exhausting the stack', (_, text) => {
  expect(() => parseJson(text, (_key, value) => value)).toThrow(SyntaxError)
  expect(() => parseJson(text)).toThrow('nested')
})

test('too many values are refused before parsing', () => {
  expect(() => parseJson(`[${'1,'.repeat(jsonLimits.parts + 1)}`)).toThrow('values')
})

test('a key named __proto__ changes only its own object', () => {
  const read = parseJson('{"__proto__": {"polluted": true}}') as Record<string, unknown>
  expect(Object.keys(read)).toEqual(['__proto__'])
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
})
