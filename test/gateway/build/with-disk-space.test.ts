import { expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import type { DiskWatch } from '../../../gateway/src/host/disk/disk-watch.ts'
import { withDiskSpace } from '../../../gateway/src/build/with-disk-space.ts'

/** Runs a build that fails with "disk full", beside a disk that is short or has room. */
async function failing(isShort: boolean) {
  let made = 0
  const disk = {
    settled: async () => {},
    enter: () => ({ signal: new AbortController().signal, [Symbol.dispose]() {} }),
    stoppedLately: () => null,
    wasShort: async () => isShort,
    makeRoom: async () => void made++,
  } as unknown as DiskWatch
  const work = () =>
    Promise.reject(new Problem('no-space', 'The daemon says so.', { facts: { step: 's' } }))
  const failed: unknown = await withDiskSpace(
    disk,
    () => {},
    work,
    new AbortController().signal,
  ).catch((error) => error)
  return { failed, made }
}

test('a build that reports a full disk is believed while the disk is short', async () => {
  const { failed, made } = await failing(true)
  expect((failed as Problem).body()).toMatchObject({ code: 'no-space', step: 's' })
  expect(made).toBe(1)
})

test('a build that says so beside a disk with room failed by itself, and nobody’s caches go for it', async () => {
  const { failed, made } = await failing(false)
  expect((failed as Problem).body()).toMatchObject({
    code: 'build-failed',
    detail: 'The daemon says so.',
    step: 's',
  })
  expect(made).toBe(0)
})
