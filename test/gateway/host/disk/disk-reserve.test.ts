import { statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { expect, test } from 'vitest'
import type { Problem } from '#api/problem.ts'
import { DiskWatch } from '../../../../gateway/src/host/disk/disk-watch.ts'
import { openLog } from '../../../../gateway/src/log.ts'

async function watch(lowShare = 0) {
  const { bavail, bsize } = await statfs(tmpdir())
  const freeBytes = bavail * bsize
  let made = 0
  const disk = await DiskWatch.open({
    folder: tmpdir(),
    low: { bytes: freeBytes * lowShare },
    high: { bytes: freeBytes * lowShare + 1 },
    makeRoom: () => Promise.resolve(void made++),
    makeMoreRoom: () => Promise.resolve(false),
    log: openLog('silent'),
  })
  return { disk, freeBytes, made: () => made }
}
const codeOf = (act: () => unknown) => {
  try {
    act()
    return null
  } catch (error) {
    return (error as Problem).code
  }
}

test('uploads that are announced at once do not overbook the disk together', async () => {
  const { disk, freeBytes } = await watch()
  await using _ = disk
  const half = { announcedBytes: freeBytes * 0.6, arrivedBytes: () => 0 }
  const first = disk.reserve(half)
  expect(codeOf(() => disk.reserve(half))).toBe('no-space')

  const small = disk.reserve({ announcedBytes: freeBytes * 0.1, arrivedBytes: () => 0 })
  first[Symbol.dispose]()
  const second = disk.reserve(half)
  second[Symbol.dispose]()
  small[Symbol.dispose]()
  expect(codeOf(() => disk.reserve({ announcedBytes: freeBytes * 2, arrivedBytes: () => 0 }))).toBe(
    'no-space',
  )
})

test('bytes of an upload that have arrived are on the disk, and nothing is reserved for them', async () => {
  const { disk, freeBytes } = await watch()
  await using _ = disk
  let arrived = 0
  using _first = disk.reserve({ announcedBytes: freeBytes * 0.6, arrivedBytes: () => arrived })
  const other = { announcedBytes: freeBytes * 0.6, arrivedBytes: () => 0 }
  expect(codeOf(() => disk.reserve(other))).toBe('no-space')
  arrived = freeBytes * 0.6 + 500
  expect(codeOf(() => disk.reserve(other))).toBe(null)
})

test('an upload that will leave little space is accepted, and space is freed meanwhile', async () => {
  const { disk, freeBytes, made } = await watch(0.5)
  await using _ = disk
  using _first = disk.reserve({ announcedBytes: freeBytes * 0.2, arrivedBytes: () => 0 })
  expect(made()).toBe(0)
  using _second = disk.reserve({ announcedBytes: freeBytes * 0.4, arrivedBytes: () => 0 })
  expect(made()).toBe(1)
})
