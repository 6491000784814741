import { expect, test } from 'vitest'
import { z } from 'zod'
import { Problem } from '../../api/problem.ts'

test('what a schema finds wrong is said in plain words', () => {
  // Loads the words, as every reader of a request does.
  expect(Problem).toBeTypeOf('function')
  const schema = z.strictObject({
    scopes: z.array(z.enum(['read', 'deploy'])).min(1),
    name: z.string().min(2).max(5),
    count: z.int().max(100),
    on: z.boolean(),
    at: z.iso.datetime(),
  })
  const right = { scopes: ['read'], name: 'ci', count: 1, on: true, at: '2026-11-30T00:00:00Z' }
  const faultOf = (wrong: object) =>
    schema.safeParse({ ...right, ...wrong }).error?.issues[0]?.message
  expect(faultOf({})).toBeUndefined()
  expect(faultOf({ scopes: 'read' })).toBe('expected a list, not "read"')
  expect(faultOf({ scopes: [] })).toBe('expected at least 1 items')
  expect(faultOf({ scopes: ['reed'] })).toBe('expected one of read, deploy, not "reed"')
  expect(faultOf({ name: undefined })).toBe('it is missing; expected a text')
  expect(faultOf({ name: 'too long' })).toBe('expected at most 5 characters')
  expect(faultOf({ count: [1] })).toBe('expected a number, not a list')
  expect(faultOf({ count: 101 })).toBe('expected at most 100')
  expect(faultOf({ on: 'x'.repeat(60) })).toBe('expected true or false, not this text')
  // The rest keeps the words of the library or of the schema itself.
  expect(faultOf({ at: 'now' })).toBe('Invalid ISO datetime')
})
