import { tmpdir } from 'node:os'
import { expect, test, vi } from 'vitest'
import { DiskWatch, type DiskWatchOptions } from '../../../../gateway/src/host/disk/disk-watch.ts'
import { openLog } from '../../../../gateway/src/log.ts'

/** A disk that always counts as full: it requires more free space than it has. */
const watch = (more: Partial<DiskWatchOptions>) =>
  DiskWatch.open({
    folder: tmpdir(),
    low: { share: 10 },
    high: { share: 10 },
    makeRoom: () => Promise.resolve(),
    makeMoreRoom: () => Promise.resolve(),
    log: openLog('silent'),
    ...more,
  })

test('when no single step fills the disk, the youngest work is stopped and other work keeps its time', async () => {
  await using full = await watch({})
  using first = full.enter()
  using second = full.enter()
  await vi.waitFor(() => expect(second.signal.aborted).toBe(true))
  expect(second.signal.reason).toMatchObject({ code: 'no-space' })
  expect(first.signal.aborted).toBe(false)
})

test('stopping a step spares the other work, and the watch remembers it for a while', async () => {
  const stopped = { command: '/step', bytes: 5e9, files: 3 }
  await using full = await watch({ stopLargest: () => Promise.resolve(stopped) })
  using work = full.enter()
  await vi.waitFor(() => expect(full.stoppedLately()).toEqual(stopped))
  expect(work.signal.aborted).toBe(false)
})

test('measures beyond removing caches happen once, and never while work is running', async () => {
  let further = 0
  await using full = await watch({ makeMoreRoom: () => Promise.resolve(++further > 0) })
  await vi.waitFor(() => expect(further).toBe(1))
  for (let round = 0; round < 5; round++) await full.makeRoom()
  expect(further).toBe(1)

  const room = Promise.withResolvers<void>()
  let besides = 0
  await using busy = await watch({
    makeRoom: () => room.promise,
    stopLargest: () => Promise.resolve({ command: '/step', bytes: 5e9, files: 3 }),
    makeMoreRoom: () => Promise.resolve(++besides > 0),
  })
  {
    using _work = busy.enter()
    room.resolve()
    await busy.makeRoom()
    expect(besides).toBe(0)
  }
  await busy.makeRoom()
  expect(besides).toBe(1)
})

test('what costs nobody anything goes before caches, and a failure of it keeps no cache', async () => {
  const order: string[] = []
  await using full = await watch({ makeRoom: async () => void order.push('caches') })
  await full.makeRoom()
  order.length = 0
  full.removeFirst(async () => {
    order.push('sources')
    throw new Error('a sweep that fails')
  })
  await full.makeRoom()
  expect(order).toEqual(['sources', 'caches'])
})
