import { expect, test } from 'vitest'
import { Problem } from '../../../api/problem.ts'
import { isPassing, Patience } from '../../../client/src/sending/patience.ts'

const lost = () => new Problem('not-ready', 'It broke.', { cause: new Error('socket hang up') })
const { signal } = new AbortController()

test('an attempt is repeated until it succeeds, with words about a line that broke', async () => {
  const said: string[] = []
  const patience = new Patience((text) => said.push(text), signal)
  patience.reached()
  let attempts = 0
  const result = await patience.until(async () => {
    if (++attempts < 3) throw lost()
    return attempts
  })
  expect([result, said]).toEqual([
    3,
    ['The connection to the gateway broke: socket hang up. Trying again.'],
  ])
})

test('a gateway that was never reached, and an interrupt, end at once', async () => {
  const patience = new Patience(() => {}, signal)
  const first = lost()
  await expect(patience.until(() => Promise.reject(first))).rejects.toBe(first)

  const interrupt = new AbortController()
  const interrupted = new Patience(() => interrupt.abort(), interrupt.signal)
  interrupted.reached()
  await expect(interrupted.until(() => Promise.reject(lost()))).rejects.toThrow(/abort/i)
})

test.each([
  [lost(), true],
  [new Problem('stopping', 'Soon.'), true],
  [new Problem('digest-mismatch', 'Again.'), true],
  [new Problem('draining', 'Soon.', { facts: { retryAfterSeconds: 60 } }), true],
  [new Problem('no-space', 'Soon.', { facts: { retryAfterSeconds: 30 } }), true],
  [new Problem('quota-reached', 'Tomorrow.', { facts: { retryAfterSeconds: 9000 } }), false],
  [new Problem('queue-full', 'Full.'), false],
  [new Problem('lane-busy', 'Busy.', { facts: { retryAfterSeconds: 5 } }), false],
  [new Problem('not-ready', 'It answers like no gateway.'), false],
  [new Problem('archive-too-large', 'Too large.'), false],
])('%s may pass: %s', (problem, may) => {
  expect(isPassing(problem)).toBe(may)
})
