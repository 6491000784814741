import type { DeploymentState } from '#api/deployment.ts'
import type { Waiting } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import { touchesMachines } from './states.ts'
import { fairOrder, oneTeam, type QueueTeams } from './teams/fair-order.ts'

/**
 * How many deployments may run at once: building in total, building per app (an app's settings may
 * override it), and changing machines.
 */
export type QueueLimits = { builds: number; appBuilds: number; deploys: number }

type LaneRef = { id: string; app: string; owner: string }
export type Running = LaneRef & { state: DeploymentState }
export type Queued = LaneRef & {
  number: number
  /** False: it has its image already and goes straight to the machines. */
  builds: boolean
  /** Deployments that hold a place at the machines may wait for it, so it needs none. */
  isRouter?: boolean | undefined
  /** A rollback goes before the others of its lane. */
  isRollback: boolean
  /** Above 0: an operator moved it to the front. The highest goes first. */
  movedUp: number
  /** Grows each time the queue starts a deployment of its app. */
  lastServed: number
  /** The app's own limit. Null: it has none. */
  appBuilds: number | null
}
const keyOf = ({ app, owner }: LaneRef) => `${app}/${owner}`
type QueuePosition = Omit<Waiting, 'type'>

/** The problem that ends a deployment which waited longer than this. */
export const waitedTooLong = (limitMs: number): Problem =>
  new Problem('time-limit', `It waited in the queue for longer than ${limitMs / 1000} s.`, {
    facts: { state: 'pending', limitMs },
  })

/**
 * Picks the next deployment, and says what each of the others waits for. Within a lane and an app
 * rollbacks go first, then the oldest. Build slots are shared fairly between teams, and within a team
 * between apps (see `fairOrder`), so that an app with a hundred waiting deployments delays no other.
 * A deployment that was moved to the front takes its lane with it: what is ahead of it there goes first
 * too. Limits hold for it as for all. Without limits, and while the queue is paused, none may start.
 */
export function schedule(
  queued: Queued[],
  running: Running[],
  limits: QueueLimits | 'paused' | null,
  teams: QueueTeams = oneTeam,
) {
  const positions: (QueuePosition & { id: string })[] = []
  const lanes = new Map<string, string[]>()
  const laneOf = (one: LaneRef) =>
    lanes.get(keyOf(one)) ?? lanes.set(keyOf(one), []).get(keyOf(one))!
  const moved = new Map<string, number>()
  for (const one of queued)
    if (one.movedUp > (moved.get(keyOf(one)) ?? 0)) moved.set(keyOf(one), one.movedUp)
  for (const one of running) laneOf(one).push(one.id)
  const building = running.filter(({ state }) => !touchesMachines(state))
  const builds = new BuildCounts(building, teams)
  const deploys = running.length - building.length

  const heads: Queued[] = []
  const byTurn = (a: Queued, b: Queued) =>
    Number(b.isRollback) - Number(a.isRollback) || a.number - b.number
  for (const one of queued.toSorted(byTurn)) {
    const ahead = laneOf(one)
    if (ahead.length === 0) heads.push(one)
    else positions.push({ id: one.id, for: 'lane', place: ahead.length, behind: ahead.at(-1)! })
    ahead.push(one.id)
  }

  const waiting = new Map<string, number>()
  const wait = ({ id }: Queued, reason: QueuePosition['for'], among: string = reason) => {
    waiting.set(among, (waiting.get(among) ?? 0) + 1)
    positions.push({ id, for: reason, place: waiting.get(among)!, behind: null })
  }

  let next: Queued | null = null
  const movedUp = (one: LaneRef) => moved.get(keyOf(one)) ?? 0
  const inOrder = fairOrder(heads, building, teams).toSorted((a, b) => movedUp(b) - movedUp(a))
  for (const one of inOrder) {
    if (limits === null || limits === 'paused') {
      wait(one, limits ?? 'ready')
      continue
    }
    const full = one.builds ? builds.fullFor(one, limits) : null
    if (full) wait(one, full.reason, full.among)
    else if (deploys >= limits.deploys && !one.isRouter) wait(one, 'deploys')
    else {
      next ??= one
      if (one.builds) builds.add(one)
    }
  }
  return { next, positions }
}

/** How many builds run: of each app, of each team, and in total. */
class BuildCounts {
  readonly #teams: QueueTeams
  readonly #counts = new Map<string, number>()
  #all = 0

  constructor(building: readonly { app: string }[], teams: QueueTeams) {
    this.#teams = teams
    for (const one of building) this.add(one)
  }

  add({ app }: { app: string }): void {
    this.#all++
    for (const key of [`app ${app}`, `team ${this.#teams.of(app)}`])
      this.#counts.set(key, this.#of(key) + 1)
  }

  /** What a build waits for. Null: it may start. */
  fullFor({ app, appBuilds }: Pick<Queued, 'app' | 'appBuilds'>, limits: QueueLimits) {
    const team = this.#teams.of(app)
    const ofTeam = this.#teams.builds(team) ?? Infinity
    if (this.#of(`app ${app}`) >= (appBuilds ?? limits.appBuilds))
      return { reason: 'app', among: `app ${app}` } as const
    if (this.#of(`team ${team}`) >= ofTeam)
      return { reason: 'team', among: `team ${team}` } as const
    return this.#all >= limits.builds ? ({ reason: 'builds', among: 'builds' } as const) : null
  }

  #of(key: string): number {
    return this.#counts.get(key) ?? 0
  }
}

/**
 * Queue positions after the gateway died. The deployments that were running go first, one at a
 * time, in this order. All others wait for them.
 */
export function behindSuspects(
  queued: Queued[],
  suspects: string[],
): (QueuePosition & { id: string })[] {
  const others = queued
    .filter(({ id }) => !suspects.includes(id))
    .toSorted((a, b) => a.number - b.number)
  const known = new Set(queued.map(({ id }) => id))
  return [
    ...suspects.flatMap((id, at) => (known.has(id) ? [waits(id, at + 1)] : [])),
    ...others.map(({ id }, at) => waits(id, suspects.length + at + 1)),
  ]
}

const waits = (id: string, place: number) => ({ id, for: 'recovery', place, behind: null }) as const

const maxNotices = 100

/** The last notice of a queue position. `times`: how many there were. */
export type QueueNotice = { for: QueuePosition['for']; place: number; times: number }

/**
 * A new notice is due for another reason, for a better position near the front, or when the
 * position has halved.
 */
export function shouldAnnounce(now: QueuePosition, announced: QueueNotice | null): boolean {
  if (announced === null || announced.times >= maxNotices) return announced === null
  if (announced.for !== now.for) return true
  return now.place < announced.place && (now.place <= 3 || now.place <= announced.place / 2)
}
