import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Ballast } from '../../../../gateway/src/host/disk/ballast.ts'

test('the ballast is allocated once and released once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ballast-'))
  const path = join(folder, 'ballast')
  const ballast = new Ballast(path)
  expect(ballast.release()).toBe(false)
  await ballast.fill()
  expect((await stat(path)).blocks * 512).toBeGreaterThanOrEqual(64 * 2 ** 20)
  expect([ballast.release(), existsSync(path), ballast.release()]).toEqual([true, false, false])
  await rm(folder, { recursive: true })
})

test('a small part is kept in files for the next start, and missing files are allocated again', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ballast-'))
  const ballast = new Ballast(join(folder, 'ballast'))
  await ballast.fillForStart()
  expect(await readdir(join(folder, 'ballast-start'))).toHaveLength(64)

  await rm(join(folder, 'ballast-start/7'))
  await ballast.fillForStart()
  expect((await stat(join(folder, 'ballast-start/7'))).blocks * 512).toBeGreaterThanOrEqual(2 ** 16)
  await ballast.releaseIfFull() // the disk is not full here
  expect(await readdir(join(folder, 'ballast-start'))).toHaveLength(64)
  await rm(folder, { recursive: true })
})
