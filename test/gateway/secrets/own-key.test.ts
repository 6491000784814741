import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ownKey } from '../../../gateway/src/secrets/own-key.ts'

let dir: string
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), 'tarmac-key-'))))
afterAll(() => rm(dir, { recursive: true }))

test('the gateway makes its key once, for itself alone', async () => {
  const path = join(dir, 'key')
  const key = await ownKey(path)
  expect(key).toHaveLength(32)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(Buffer.from(await ownKey(path))).toEqual(Buffer.from(key))
})

test('a key that a crash cut short is made again', async () => {
  const path = join(dir, 'short')
  await writeFile(path, 'cut')
  expect(await ownKey(path)).toHaveLength(32)
})
