import { expect, test } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import { LogLimit } from '../../../gateway/src/pipeline/log-limit.ts'

const ended = { type: 'step', step: 's1', name: 'make', status: 'failed' } as const
const line = (at: number): NewEvent => ({
  type: 'log',
  step: 's1',
  stream: 'stdout',
  text: `line ${at} ${'x'.repeat(40)}`,
})

test('the limits of a step hold for output that follows its end', () => {
  const limit = new LogLimit({ stepBytes: 1000, allBytes: 5000, tailBytes: 200 })
  const early = Array.from({ length: 30 }, (_, at) => line(at)).flatMap((event) =>
    limit.push(event),
  )
  expect(limit.push(ended).at(-1)).toEqual(ended)
  const late = Array.from({ length: 30 }, (_, at) => line(100 + at)).flatMap((event) =>
    limit.push(event),
  )
  expect(early.length).toBeGreaterThan(10)
  expect(late).toEqual([]) // it waits in the tail

  const tail = limit.flush()
  expect(tail[0]).toMatchObject({ type: 'dropped', step: 's1' })
  expect(JSON.stringify(tail.slice(1))).toContain('line 129')
  expect(tail.length).toBeLessThan(5)
})

test('the limits of a step begin again when it starts again', () => {
  const limit = new LogLimit({ stepBytes: 100, allBytes: 5000, tailBytes: 100 })
  for (let at = 0; at < 10; at++) limit.push(line(at))
  limit.push(ended)
  limit.push({ ...ended, status: 'started' })
  expect(limit.push(line(10))).toEqual([line(10)])
})

test('a flood on one stream does not push the reason on the other out of the tail', () => {
  const limit = new LogLimit({ stepBytes: 100, allBytes: 5000, tailBytes: 500 })
  const events = Array.from({ length: 30 }, (_, at) => line(at)).flatMap((event) =>
    limit.push(event),
  )
  const reason = { type: 'log', step: 's1', stream: 'stderr', text: 'the reason' } as const
  limit.push(reason)
  for (let at = 30; at < 60; at++) limit.push(line(at))
  const tail = limit.flush()
  expect(tail.map(({ type }) => type)).toEqual(['dropped', 'log', 'log'])
  expect(tail[1]).toEqual(reason)

  const lines = [...events, ...tail].flatMap((event) =>
    event.type === 'log' ? event.text.split('\n') : [],
  )
  expect(lines.at(-1)).toContain('line 59')
  expect(lines.length + (tail[0] as NewEvent & { type: 'dropped' }).lines).toBe(61)
})

test('the reported missing output counts within the limits too', () => {
  const limit = new LogLimit({ stepBytes: 1000, allBytes: 2000, tailBytes: 500 })
  const events = Array.from(
    { length: 50 },
    () => ({ type: 'dropped', step: 's1', lines: 1, bytes: 2 }) as const,
  )
  const emitted = [...events.flatMap((event) => limit.push(event)), ...limit.flush()]
  expect(emitted.length).toBeLessThan(12)
  expect(
    emitted.reduce((sum, event) => sum + (event.type === 'dropped' ? event.lines : 0), 0),
  ).toBe(50)
})
