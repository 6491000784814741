import { expect, test } from 'vitest'
import {
  forecast,
  leftOf,
  type Spans,
  usualSpans,
} from '../../../gateway/src/deployments/overview/queue-forecast.ts'
import type { Queued, Running } from '../../../gateway/src/deployments/queue.ts'
import { oneTeam } from '../../../gateway/src/deployments/teams/fair-order.ts'

const limits = { builds: 1, appBuilds: 1, deploys: 1 }
const usual: Spans = { buildMs: 60, machinesMs: 10 }
let number = 0
const waits = (id: string, more: Partial<Queued> = {}): Queued => ({
  id,
  app: id.split('/')[0]!,
  owner: '',
  number: ++number,
  builds: true,
  isRollback: false,
  movedUp: 0,
  lastServed: 0,
  appBuilds: null,
  ...more,
})
const runs = (id: string, state: Running['state'] = 'building'): Running => ({
  id,
  app: id.split('/')[0]!,
  owner: '',
  state,
})
const play = (
  queued: Queued[],
  running: Running[],
  spans: Record<string, Spans> = {},
  own: Partial<typeof limits> = {},
) =>
  Object.fromEntries(
    [
      ...forecast(
        { queued, running, teams: oneTeam },
        { ...limits, ...own },
        (id) => spans[id] ?? usual,
      ),
    ].map(([id, { startsInMs, endsInMs }]) => [id, [startsInMs, endsInMs]]),
  )

test('a build starts when the one before it has left the slot, and ends after its time at machines', () => {
  const spans = { 'a/1': { buildMs: 20, machinesMs: 10 } }
  expect(play([waits('b/1'), waits('c/1')], [runs('a/1')], spans)).toEqual({
    'a/1': [0, 30],
    // The slot is free at 20, but nothing starts while a deploy slot is taken.
    'b/1': [30, 100],
    'c/1': [100, 170],
  })
  expect(play([waits('b/1'), waits('c/1')], [runs('a/1')], spans, { deploys: 5 })).toMatchObject({
    'b/1': [20, 90],
    'c/1': [80, 150],
  })
})

test('a lane goes one after the other, whatever is free', () => {
  const wide = { builds: 9, appBuilds: 9, deploys: 9 }
  expect(play([waits('a/2'), waits('a/3')], [runs('a/1')], {}, wide)).toEqual({
    'a/1': [0, 70],
    'a/2': [70, 140],
    'a/3': [140, 210],
  })
})

test('what ends nobody knows when holds up what is behind it, and nothing else', () => {
  const wide = { builds: 2, appBuilds: 1, deploys: 9 }
  const spans = { 'a/1': { buildMs: null, machinesMs: 10 } }
  expect(play([waits('a/2'), waits('b/2')], [runs('a/1'), runs('b/1')], spans, wide)).toEqual({
    'a/1': [0, null],
    'b/1': [0, 70],
    'b/2': [70, 140],
  })
})

test('one that was moved up is expected first, and one without a build needs no build slot', () => {
  const deploy = waits('d/1', { builds: false, app: 'd' })
  const times = play(
    [waits('b/1'), waits('c/1', { movedUp: 1 }), deploy],
    [runs('a/1')],
    {},
    {
      deploys: 9,
    },
  )
  expect(times).toMatchObject({ 'c/1': [60, 130], 'b/1': [120, 190], 'd/1': [0, 10] })
})

test('a hundred deployments are played within a second', () => {
  const many = Array.from({ length: 99 }, (_, n) => waits(`a${n % 7}/${n}`, { owner: `o${n}` }))
  const from = process.cpuUsage()
  expect(Object.keys(play(many, [runs('x/1')]))).toHaveLength(100)
  const { user, system } = process.cpuUsage(from)
  expect((user + system) / 1000).toBeLessThan(1000)
})

test('the usual time is the median of what succeeded, and much more than that says nothing', () => {
  const past = [10, 30, 20].map((ms) => ({ fetching: 1, building: ms, verifying: 2 * ms }))
  expect(usualSpans(past)).toEqual({ buildMs: 21, machinesMs: 40 })
  expect(usualSpans([{ deploying: 5 }])).toEqual({ buildMs: null, machinesMs: 5 })
  const minute = 60_000
  const left = [leftOf(minute, 20_000), leftOf(minute, 100_000), leftOf(minute, 200_000)]
  expect(left).toEqual([40_000, 6000, null])
  expect([leftOf(10, 50_000), leftOf(10, 70_000), leftOf(null, 1)]).toEqual([1, null, null])
})
