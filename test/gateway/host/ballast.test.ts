import { existsSync } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Ballast } from '../../../gateway/src/host/ballast.ts'

test('room is set aside once, and given up once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ballast-'))
  const path = join(folder, 'ballast')
  const ballast = new Ballast(path)
  expect(ballast.release()).toBe(false)
  await ballast.fill()
  expect((await stat(path)).blocks * 512).toBeGreaterThanOrEqual(64 * 2 ** 20)
  expect([ballast.release(), existsSync(path), ballast.release()]).toEqual([true, false, false])
  await rm(folder, { recursive: true })
})
