import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { Problem } from '#api/problem.ts'
import { ThreadPool } from '../../../../gateway/src/host/threads/thread-pool.ts'

const newPool = () =>
  new ThreadPool({ script: new URL('./some-jobs.ts', import.meta.url), size: 2, heapMiB: 16 })
let pool = newPool()
const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
  pool = newPool()
})
const start = (kind: string, data: unknown = null) => {
  const { port, end, kill } = pool.start(kind, data)
  ends.push(end)
  return { port, kill }
}

test('a Problem crosses threads with its code, facts and causes', async () => {
  const error: unknown = await start('refuse')
    .port.value()
    .catch((refused: unknown) => refused)
  expect(error).toBeInstanceOf(Problem)
  expect(error).toMatchObject({
    code: 'no-space',
    message: 'Full.',
    facts: { at: 7 },
    cause: { message: 'outer', cause: { message: 'inner', code: 'ENOSPC' } },
  })
})

test('of idle threads one stays a minute, whichever rested first', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const idOf = async () => {
    const { port, end } = pool.start('thread', null)
    const id = await port.value<number>()
    return { id, end }
  }
  const two = [await idOf(), await idOf()]
  expect(two[0]!.id).not.toBe(two[1]!.id)
  for (const { end } of two) end()

  await vi.advanceTimersByTimeAsync(50_000)
  const again = await idOf()
  expect(two.map(({ id }) => id)).toContain(again.id)
  again.end()
  await vi.advanceTimersByTimeAsync(61_000)
  const fresh = await idOf()
  expect(two.map(({ id }) => id)).not.toContain(fresh.id)
  fresh.end()
})

test('data for a slow thread waits with the sender', async () => {
  const { port } = start('count')
  let sentBytes = 0
  let isOver = false
  const sending = (async () => {
    for (; sentBytes < 2 ** 25; sentBytes += 2 ** 16) await port.sendCopy(new Uint8Array(2 ** 16))
    port.sendEnd()
    isOver = true
  })()
  expect(await port.value()).toBe('waiting') // the thread has taken nothing yet
  expect(isOver).toBe(false)
  expect(sentBytes).toBeLessThanOrEqual(2 ** 20)

  port.sendValue('go')
  await sending
  expect(await port.value()).toBe(2 ** 25)
})

test('a thread that runs out of memory fails its own jobs, and later jobs get a new thread', async () => {
  const other = start('wait')
  expect(await other.port.value()).toBe('waiting')
  const hungry = start('eat')
  await expect(hungry.port.value()).rejects.toThrow()
  other.port.sendValue('go')
  expect(await other.port.value()).toBe('done')
  expect(await Promise.all([1, 2, 3].map((n) => start('echo', n).port.value()))).toEqual([1, 2, 3])
}, 20_000)

test('a killed thread fails its jobs', async () => {
  const { port, kill } = start('wait')
  expect(await port.value()).toBe('waiting')
  kill()
  await expect(port.value()).rejects.toThrow()
  await port.closed
})
