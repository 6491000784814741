import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
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

test('a little is set aside in files for the next start, and what is missing of it is set aside again', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ballast-'))
  const ballast = new Ballast(join(folder, 'ballast'))
  await ballast.fillForStart()
  expect(await readdir(join(folder, 'ballast-start'))).toHaveLength(64)
  await rm(join(folder, 'ballast-start/7'))
  await ballast.fillForStart()
  expect((await stat(join(folder, 'ballast-start/7'))).blocks * 512).toBeGreaterThanOrEqual(2 ** 16)
  await ballast.releaseIfFull() // nothing is full here
  expect(await readdir(join(folder, 'ballast-start'))).toHaveLength(64)
  await rm(folder, { recursive: true })
})
