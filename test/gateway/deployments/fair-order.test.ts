import { expect, test } from 'vitest'
import type { DeploymentState } from '../../../api/deployment.ts'
import { schedule } from '../../../gateway/src/deployments/queue.ts'
import { fairOrder, type QueueTeams } from '../../../gateway/src/deployments/teams/fair-order.ts'

/** `a1` is an app of team `a`. */
const teamsOf = (
  served: Record<string, number> = {},
  builds: number | null = null,
): QueueTeams => ({
  of: (app) => app[0]!,
  lastServed: (team) => served[team] ?? 0,
  builds: () => builds,
})
const apps = (text: string, served: Record<string, number> = {}) =>
  text.split(' ').map((app) => ({ app, lastServed: served[app] ?? 0 }))
const order = (waiting: string, running = '', teams = teamsOf()) =>
  fairOrder(apps(waiting), running === '' ? [] : apps(running), teams)
    .map(({ app }) => app)
    .join(' ')

test('teams take turns, and within a team its apps', () => {
  expect(order('a1 a1 a1 a2 b1 b1')).toBe('a1 b1 a2 b1 a1 a1')
  expect(order('a1 a2 a3 b1 c1 c1')).toBe('a1 b1 c1 a2 c1 a3')
})

test('the team and the app with the fewest running builds go first', () => {
  expect(order('a1 b1', 'a2')).toBe('b1 a1')
  expect(order('a1 a2 b1', 'a1 b2 b2')).toBe('a2 b1 a1')
  expect(order('a1 a2', 'a1 a1 a2')).toBe('a2 a1')
})

test('among equals the one served longest ago goes first', () => {
  expect(order('a1 b1 c1', '', teamsOf({ a: 3, b: 1, c: 2 }))).toBe('b1 c1 a1')
  const served = apps('a1 a2 a3', { a1: 3, a2: 1, a3: 2 })
  expect(fairOrder(served, [], teamsOf()).map(({ app }) => app)).toEqual(['a2', 'a3', 'a1'])
})

/** Every shape of so many apps in so many teams. */
const shapes = [1, 2, 3, 5].flatMap((teams) =>
  [1, 2, 4].flatMap((perTeam) => [1, 2, 3, 7].map((slots) => ({ teams, perTeam, slots }))),
)

test.each(shapes)(
  'no team and no app starves, and shares are equal: $teams teams, the first with $perTeam times as many apps, $slots slots',
  ({ teams, perTeam, slots }) => {
    const names = Array.from({ length: teams }, (_, at) => String.fromCodePoint(97 + at))
    const all = names.flatMap((team, at) =>
      Array.from({ length: at === 0 ? perTeam * 3 : 1 }, (_, n) => `${team}${n}`),
    )
    // Each app has always three waiting deployments, of as many owners.
    const served = new Map<string, number>()
    const teamServed: Record<string, number> = {}
    const starts = new Map<string, number>()
    let running: {
      id: string
      app: string
      owner: string
      state: DeploymentState
      left: number
    }[] = []
    let turn = 0
    const steps = 60 * all.length
    for (let step = 1; step <= steps; step++) {
      running = running
        .map((one) => ({ ...one, left: one.left - 1 }))
        .filter(({ left }) => left > 0)
      const waiting = all.flatMap((app) =>
        ['x', 'y', 'z'].map((owner, n) => ({
          id: `${app}${owner}${step}`,
          app,
          owner,
          number: n + 1,
          builds: true,
          isRollback: false,
          movedUp: 0,
          lastServed: served.get(app) ?? 0,
          appBuilds: null,
        })),
      )
      const limits = { builds: slots, appBuilds: 2, deploys: 9 }
      for (;;) {
        const { next } = schedule(
          waiting.filter(
            ({ app, owner }) => !running.some((r) => r.app === app && r.owner === owner),
          ),
          running,
          limits,
          teamsOf(teamServed),
        )
        if (!next) break
        // Builds of some apps take five times as long.
        const left = next.app.endsWith('0') ? 5 : 1
        running.push({ id: next.id, app: next.app, owner: next.owner, state: 'building', left })
        served.set(next.app, ++turn)
        teamServed[next.app[0]!] = turn
        starts.set(next.app, (starts.get(next.app) ?? 0) + 1)
      }
    }
    expect([...starts.keys()].toSorted()).toEqual(all.toSorted())
    // Teams of one app all have the same builds, so none of them gets much more than another.
    const single = names.slice(1).map((team) => starts.get(`${team}0`)!)
    for (const count of single)
      expect(Math.max(...single) - count).toBeLessThanOrEqual(Math.max(3, count / 4))
  },
)

test('a team waits for its own builds when its quota is full, and delays no other', () => {
  const one = (app: string) => ({
    id: app,
    app,
    owner: '',
    number: 1,
    builds: true,
    isRollback: false,
    movedUp: 0,
    lastServed: 0,
    appBuilds: null,
  })
  const work = (app: string) => ({ id: `w${app}`, app, owner: 'x', state: 'building' as const })
  const limits = { builds: 9, appBuilds: 9, deploys: 9 }
  const two = teamsOf({}, 2)
  const { next, positions } = schedule([one('a1'), one('a2'), one('b1')], [work('a3')], limits, two)
  expect(next?.app).toBe('b1')
  expect(positions).toEqual([{ id: 'a2', for: 'team', place: 1, behind: null }])

  const image = { ...one('a1'), builds: false }
  expect(schedule([image], [work('a2'), work('a3')], limits, two).next).toBe(image)
})
