import { expect, test } from 'vitest'
import type { NewEvent } from '../../../api/event.ts'
import { UsageOfBuild } from '../../../gateway/src/pipeline/usage-of-build.ts'

const step = (id: string, status: string, more: object = {}) =>
  ({ type: 'step', step: id, name: 'RUN make', status, ...more }) as NewEvent

test('a build counts its steps once, by whether they ran, and what they used', () => {
  const usage = new UsageOfBuild()
  const emitted: NewEvent[] = []
  const emit = usage.counting((event) => void emitted.push(event))
  for (const event of [
    step('a', 'cached'),
    step('b', 'started'),
    step('b', 'done', { cpuMs: 100, peakMemoryBytes: 5 }),
    step('b', 'cached'), // the second try
    step('c', 'cached'),
    step('c', 'started'), // the cache had lost it
    step('c', 'failed', { cpuMs: 50, peakMemoryBytes: 9 }),
    step('image', 'done'),
  ])
    emit(event)
  expect(usage.patch).toEqual({
    buildUsage: { cpuMs: 150, peakMemoryBytes: 9 },
    buildSteps: { cached: 1, run: 2 },
  })
  expect(emitted).toHaveLength(8)
  expect(new UsageOfBuild().patch).toEqual({})
})
