import { expect, test } from 'vitest'
import {
  schedule,
  type Running,
  type Queued,
  shouldAnnounce,
} from '../../../gateway/src/deployments/queue.ts'

const limits = { builds: 2, appBuilds: 2, deploys: 2 }
let number = 0
const queued = (app: string, owner = '', more: Partial<Queued> = {}): Queued => ({
  id: `${app}/${owner}/${++number}`,
  app,
  owner,
  number,
  builds: true,
  isRollback: false,
  movedUp: 0,
  lastServed: 0,
  appBuilds: null,
  ...more,
})
const atWork = (app: string, owner = '', state: Running['state'] = 'building'): Running => ({
  id: `${app}/${owner}/work`,
  app,
  owner,
  state,
})

test('a rollback goes before the waiting deployments of its lane', () => {
  const [first, second] = [queued('shop'), queued('shop')]
  const back = queued('shop', '', { builds: false, isRollback: true })
  const { next, positions } = schedule([first, second, back], [], limits)
  expect(next).toBe(back)
  expect(positions.map(({ id, behind }) => [id, behind])).toEqual([
    [first.id, back.id],
    [second.id, first.id],
  ])

  const running = atWork('shop')
  expect(schedule([first, back], [running], limits).positions).toMatchObject([
    { id: back.id, behind: running.id, place: 1 },
    { id: first.id, behind: back.id, place: 2 },
  ])
})

test('an app with a hundred waiting deployments delays an app with one by at most one turn', () => {
  const crowd = Array.from({ length: 100 }, (_, n) => queued('crowd', `o${n}`, { lastServed: 7 }))
  const single = queued('single', '', { lastServed: 3 })
  expect(schedule([...crowd, single], [], limits).next).toBe(single)
  single.lastServed = 9
  const { next, positions } = schedule([...crowd, single], [atWork('x')], { ...limits, builds: 2 })
  expect(next).toBe(crowd[0])
  expect(positions.find(({ id }) => id === single.id)).toMatchObject({ for: 'builds', place: 1 })
})

test('apps take turns and get equal shares over time, however many deployments they have', () => {
  const lastServed = { a: 0, b: 0, c: 0 }
  const waiting = (['a', 'a', 'a', 'a', 'b', 'a', 'c', 'b', 'c', 'a'] as const).map((app, n) =>
    queued(app, `o${n}`),
  )
  const order: string[] = []
  for (let turn = 1; waiting.length > 0; turn++) {
    for (const one of waiting) one.lastServed = lastServed[one.app as 'a']
    const { next } = schedule(waiting, [], limits)
    order.push(next!.app)
    lastServed[next!.app as 'a'] = turn
    waiting.splice(waiting.indexOf(next!), 1)
  }
  expect(order.join('')).toBe('abcabcaaaa')
})

test('one that was moved up goes before other lanes with its lane, within the limits', () => {
  const [ahead, moved] = [queued('shop', 'ada'), queued('shop', 'ada', { movedUp: 1 })]
  const [other, rollback] = [queued('blog'), queued('blog', '', { isRollback: true })]
  const all = [other, rollback, ahead, moved]
  expect(schedule(all, [], limits).next).toBe(ahead)
  const later = queued('wiki', '', { movedUp: 2 })
  expect(schedule([...all, later], [], limits).next).toBe(later)

  const full = [atWork('shop', '1'), atWork('shop', '2')]
  const { next, positions } = schedule(all, full, { ...limits, builds: 3 })
  expect(next).toBe(rollback)
  expect(positions).toContainEqual({ id: ahead.id, for: 'app', place: 1, behind: null })
})

test('while the queue is paused, nothing starts', () => {
  const [first, second] = [queued('a'), queued('b', '', { movedUp: 1 })]
  const { next, positions } = schedule([first, second], [], 'paused')
  expect(next).toBeNull()
  expect(positions).toEqual([
    { id: second.id, for: 'paused', place: 1, behind: null },
    { id: first.id, for: 'paused', place: 2, behind: null },
  ])
})

test('each limit applies, names itself, and counts only its own states', () => {
  const full = [atWork('a', '1'), atWork('a', '2', 'pushing'), atWork('b', '1', 'deploying')]
  const reasons = (own: Partial<typeof limits>, one: Queued, work = full) => {
    const { next, positions } = schedule([one], work, { ...limits, ...own })
    return next ? 'starts' : positions[0]!.for
  }
  expect(reasons({}, queued('b', '2'))).toBe('builds')
  expect(reasons({ builds: 3 }, queued('b', '2'))).toBe('starts')
  expect(reasons({ builds: 3 }, queued('a', '3'))).toBe('app')
  expect(reasons({ builds: 3 }, queued('a', '3', { appBuilds: 3 }))).toBe('starts')
  expect(reasons({}, queued('a', '3', { builds: false }))).toBe('starts')
  expect(reasons({ deploys: 1 }, queued('a', '3', { builds: false }))).toBe('deploys')
  expect(reasons({}, queued('b', '1'))).toBe('lane')
  expect(schedule([queued('c')], [], null)).toMatchObject({
    next: null,
    positions: [{ for: 'ready', place: 1 }],
  })
})

test('a lane keeps its order, even when a later deployment could start earlier', () => {
  const [first, second] = [queued('a'), queued('a', '', { builds: false })]
  const { next, positions } = schedule([second, first], [], { ...limits, builds: 0 })
  expect(next).toBeNull()
  expect(positions).toContainEqual({ id: second.id, for: 'lane', place: 1, behind: first.id })
})

test('a queue position is logged when it changes: few lines for a long wait, up to a limit', () => {
  let noticeOf: Parameters<typeof shouldAnnounce>[1] = null
  const lines: number[] = []
  for (let place = 1000; place > 0; place--) {
    if (!shouldAnnounce({ for: 'lane', place, behind: null }, noticeOf)) continue
    noticeOf = { for: 'lane', place, times: lines.push(place) }
  }
  expect(lines).toEqual([1000, 500, 250, 125, 62, 31, 15, 7, 3, 2, 1])
  expect(shouldAnnounce({ for: 'builds', place: 1, behind: null }, noticeOf)).toBe(true)
  expect(
    shouldAnnounce(
      { for: 'builds', place: 1, behind: null },
      { for: 'lane', place: 1, times: 100 },
    ),
  ).toBe(false)
})
