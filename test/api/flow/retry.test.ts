import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { poll, retry, unlessAborted } from '#api/flow/retry.ts'

const never = new AbortController().signal
const always = { isRetryable: () => true, pauseMs: () => 1 }

/** Fails until its `count`-th call. */
const failsBefore = (count: number) => {
  let calls = 0
  return () =>
    ++calls < count ? Promise.reject(new Error(`call ${calls}`)) : Promise.resolve(calls)
}

test('work is repeated until it succeeds', async () => {
  const retries: number[] = []
  const pauseMs = (attempt: number) => attempt
  const onRetry = (_: unknown, ms: number) => void retries.push(ms)
  expect(await retry(failsBefore(3), { ...always, pauseMs, onRetry }, never)).toBe(3)
  expect(retries).toEqual([2, 3])
})

test('the last error is thrown when another attempt makes no sense, or comes too late', async () => {
  const forGood = { ...always, isRetryable: (error: unknown) => !String(error).includes('call 2') }
  await expect(retry(failsBefore(9), forGood, never)).rejects.toThrow('call 2')

  const thrice = { ...always, pauseMs: (attempt: number) => (attempt > 3 ? null : 0) }
  await expect(retry(failsBefore(9), thrice, never)).rejects.toThrow('call 3')

  const soon = { ...always, pauseMs: () => 50, forMs: 20 }
  await expect(retry(failsBefore(9), soon, never)).rejects.toThrow('call 1')
})

test('an abort ends the pause, with its own reason', async () => {
  const stop = new AbortController()
  const patient = { ...always, pauseMs: () => 60_000, onRetry: () => stop.abort(new Error('stop')) }
  await expect(retry(failsBefore(9), patient, stop.signal)).rejects.toThrow('stop')
})

test('a poll ends with what it finds, or with null', async () => {
  let looks = 0
  const found = () => Promise.resolve(++looks === 3 ? 'found' : null)
  expect(await poll(found, { everyMs: 1, forMs: 60_000 }, never)).toBe('found')
  expect(await poll(() => Promise.resolve(undefined), { everyMs: 1, forMs: 5 }, never)).toBeNull()
})

test('waiting for work ends with its result, or at an abort', async () => {
  const stop = new AbortController()
  expect(await unlessAborted(Promise.resolve(1), stop.signal)).toBe(1)
  await expect.poll(() => getEventListeners(stop.signal, 'abort')).toEqual([])
  const waiting = unlessAborted(new Promise(() => {}), stop.signal)
  stop.abort(new Error('stop'))
  await expect(waiting).rejects.toThrow('stop')
  await expect(unlessAborted(Promise.resolve(1), stop.signal)).rejects.toThrow('stop')
})
