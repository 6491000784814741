import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { NewEvent } from '../../../api/event.ts'
import { UsageOfBuild } from '../../../gateway/src/pipeline/usage-of-build.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const step = (id: string, status: string, more: object = {}) =>
  ({ type: 'step', step: id, name: `[build 2/3] RUN ${id}`, status, ...more }) as NewEvent
const noTimes = { note: () => {}, sumOf: () => null }

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
  expect(usage.patchOf('shop', noTimes)).toEqual({
    buildUsage: { cpuMs: 150, peakMemoryBytes: 9 },
    buildSteps: { cached: 1, run: 2 },
  })
  expect(emitted).toHaveLength(8)
  expect(new UsageOfBuild().patchOf('shop', noTimes)).toEqual({})
})

test('a build saves what its cached steps took when they ran last for the app', async () => {
  await using store = openSqliteStore(join(mkdtempSync(join(tmpdir(), 'step-times-')), 'tarmac.db'))
  const build = (app: string, ...events: NewEvent[]) => {
    const usage = new UsageOfBuild()
    const emit = usage.counting(() => {})
    for (const event of events) emit(event)
    return usage.patchOf(app, store.stepTimes).buildSteps
  }
  const ran = [
    step('a', 'done', { ms: 9000 }),
    step('b', 'done', { ms: 1500.4 }),
    step('c', 'failed', { ms: 70 }),
  ]
  expect(build('shop', ...ran)).toEqual({ cached: 0, run: 3 })
  build('shop', step('a', 'done', { ms: 4000 }))
  // It has another count of steps now, and a step that is not known.
  const a = step('x', 'cached', { name: '[build 3/9] RUN a' })
  expect(build('shop', a, step('b', 'cached'), step('c', 'cached'))).toEqual({
    cached: 3,
    run: 0,
    savedMs: 5500,
  })
  expect(build('other', a)).toEqual({ cached: 1, run: 0 })
  store.stepTimes.forget('shop')
  expect(build('shop', a)).toEqual({ cached: 1, run: 0 })
})

test('an app keeps the times of its newest 2000 steps', async () => {
  let now = 0
  const path = join(mkdtempSync(join(tmpdir(), 'step-times-')), 'tarmac.db')
  await using store = openSqliteStore(path, { now: () => now })
  const times = (name: string, count: number) =>
    new Map(Array.from({ length: count }, (_, at) => [`${name} ${at}`, 1]))
  for (const name of ['old', 'new']) {
    now += 1000
    store.stepTimes.note('shop', times(name, 1500))
  }
  expect(store.stepTimes.sumOf('shop', times('new', 1500).keys())).toBe(1500)
  expect(store.stepTimes.sumOf('shop', times('old', 1500).keys())).toBeLessThanOrEqual(1500)
  now += 1000
  store.stepTimes.note('shop', times('newest', 3000))
  expect(store.stepTimes.sumOf('shop', times('newest', 3000).keys())).toBe(2000)
  expect(store.stepTimes.sumOf('shop', times('old', 1500).keys())).toBe(null)
})
