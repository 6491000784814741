import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { readBody } from '#api/flow/read-body.ts'

test('a body of the limit is read, and one byte more is refused', async () => {
  const body = () => Readable.from([Buffer.from('ab'), Buffer.from('cd')])
  const tooLarge = () => new Error('too large')
  expect((await readBody(body(), 4, tooLarge)).toString()).toBe('abcd')
  await expect(readBody(body(), 3, tooLarge)).rejects.toThrow('too large')
})
