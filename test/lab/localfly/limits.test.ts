import { expect, test } from 'vitest'
import { RequestLimits } from '../../../lab/localfly/limits.ts'

test('a bucket allows its burst, then its rate per second; each action and machine has its own bucket', () => {
  let now = 0
  const limits = new RequestLimits(() => now)
  const passed = (action: string, id: string, times: number) =>
    Array.from({ length: times }, () => limits.take(action, id)).filter(Boolean).length
  expect(passed('stop', 'a', 5)).toBe(3)
  expect(passed('stop', 'b', 5)).toBe(3)
  expect(passed('start', 'a', 5)).toBe(3)
  expect(passed('get machine', 'a', 20)).toBe(10)

  now += 1000
  expect(passed('stop', 'a', 5)).toBe(1)
  expect(passed('get machine', 'a', 20)).toBe(5)
  now += 3_600_000
  expect(passed('stop', 'a', 5)).toBe(3)
})

test('at most a hundred apps may be deleted per minute', () => {
  let now = 0
  const limits = new RequestLimits(() => now)
  const deleted = () =>
    Array.from({ length: 150 }, (_, n) => limits.take('delete /apps/:app', `app-${n}`)).filter(
      Boolean,
    )
  expect(deleted()).toHaveLength(100)
  now += 30_000
  expect(deleted()).toHaveLength(50)
})

test('a patient caller waits for a token unless it disconnects; disabled limits stop nobody', async () => {
  const limits = new RequestLimits()
  const spend = () => Array.from({ length: 10 }, () => limits.take('get machine', 'a')).at(-1)
  expect(spend()).toBe(true)
  expect(await limits.pass('get machine', 'a', null)).toBe(false)
  expect(await limits.pass('get machine', 'a', new AbortController().signal)).toBe(true)
  expect(await limits.pass('get machine', 'a', AbortSignal.abort())).toBe(false)
  limits.hold = false
  expect([spend(), spend()]).toEqual([true, true])
})
