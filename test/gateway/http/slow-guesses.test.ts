import { expect, test } from 'vitest'
import { SlowGuesses } from '../../../gateway/src/http/slow-guesses.ts'

/** Guesses with a clock and waits that the test controls. */
function open() {
  const clock = { now: 0 }
  const waits: number[] = []
  let release = () => {}
  let held = Promise.resolve()
  const guesses = new SlowGuesses(
    () => clock.now,
    (ms) => {
      waits.push(ms)
      return held
    },
  )
  const hold = () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    held = promise
    release = resolve
  }
  return { guesses, clock, waits, hold, release: () => release() }
}

test('the first wrong tokens of an address are refused at once, the next ones ever later', async () => {
  const { guesses, waits } = open()
  for (let n = 0; n < 30; n++) await guesses.delay('10.0.0.1')
  expect(waits.slice(0, 3)).toEqual([500, 1000, 1500])
  expect([waits.length, Math.max(...waits)]).toEqual([20, 5000])
})

test('another address is not slowed; a whole /64 of IPv6 is one address', async () => {
  const { guesses, waits } = open()
  for (let n = 0; n < 10; n++) await guesses.delay(`2001:db8:1:2::${n}`)
  await guesses.delay('2001:db8:1:3::1')
  await guesses.delay('10.0.0.1')
  expect(waits).toEqual([])
  await guesses.delay('2001:db8:1:2:ffff::1')
  expect(waits).toEqual([500])
})

test('wrong tokens are forgotten with time', async () => {
  const { guesses, clock, waits } = open()
  for (let n = 0; n < 10; n++) await guesses.delay('10.0.0.1')
  clock.now += 60_000
  for (let n = 0; n < 10; n++) await guesses.delay('10.0.0.1')
  expect(waits).toEqual([])
})

test('at most 16 refusals of an address wait; one more is refused with a time to retry', async () => {
  const { guesses, hold, release } = open()
  for (let n = 0; n < 10; n++) await guesses.delay('10.0.0.1')
  hold()
  const waiting = Array.from({ length: 16 }, () => guesses.delay('10.0.0.1'))
  await expect(guesses.delay('10.0.0.1')).rejects.toMatchObject({
    code: 'too-many-tries',
    facts: { retryAfterSeconds: 10 },
  })
  release()
  await Promise.all(waiting)
  await guesses.delay('10.0.0.1')
})

test('memory is bounded, whatever the number of addresses', async () => {
  const { guesses } = open()
  for (let n = 0; n < 10_000; n++) await guesses.delay(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`)
  expect(guesses.size).toBe(4096)
})
