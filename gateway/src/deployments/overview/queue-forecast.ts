import type { DeploymentState } from '#api/deployment.ts'
import { type Queued, type QueueLimits, type Running, schedule } from '../queue.ts'
import { touchesMachines } from '../states.ts'
import type { QueueTeams } from '../teams/fair-order.ts'

/** How long a deployment builds, and how long it is at the machines. Null: not known. */
export type Spans = { buildMs: number | null; machinesMs: number | null }
/** In milliseconds from now. Null: not known. */
export type Expected = { startsInMs: number; endsInMs: number | null }

type QueueNow = { queued: readonly Queued[]; running: readonly Running[]; teams: QueueTeams }
type Active = Running & { untilMs: number; machinesMs: number | null }

/**
 * When each deployment starts and ends, if all take as long as `spansOf` says: what is left of those
 * that run. Plays the queue by its own rules. What waits for one whose time is not known is left out.
 */
export function forecast(
  { queued, running, teams }: QueueNow,
  limits: QueueLimits,
  spansOf: (id: string) => Spans,
): Map<string, Expected> {
  const expected = new Map<string, Expected>()
  const turns = new Turns(teams)
  let waiting = queued.map((each) => ({ ...each }))
  let active = running.map((each): Active => {
    const { buildMs, machinesMs } = spansOf(each.id)
    const leftMs = touchesMachines(each.state) ? machinesMs : buildMs
    return { ...each, untilMs: leftMs ?? Infinity, machinesMs }
  })
  for (const { id } of running) expected.set(id, { startsInMs: 0, endsInMs: null })

  for (let nowMs = 0; Number.isFinite(nowMs);) {
    for (;;) {
      const { next } = schedule(waiting, active, limits, turns.teams)
      if (!next) break
      waiting = turns.serve(next, waiting)
      const { buildMs, machinesMs } = spansOf(next.id)
      const ownMs = next.builds ? buildMs : machinesMs
      const state: DeploymentState = next.builds ? 'building' : 'deploying'
      const { id, app, owner } = next
      active.push({ id, app, owner, state, machinesMs, untilMs: nowMs + (ownMs ?? Infinity) })
      expected.set(id, { startsInMs: nowMs, endsInMs: null })
    }
    nowMs = Math.min(...active.map(({ untilMs }) => untilMs)) // Infinity: nothing ends any more
    active = active.flatMap((each) => {
      if (each.untilMs > nowMs) return [each]
      if (!touchesMachines(each.state) && each.machinesMs !== 0)
        return [{ ...each, state: 'deploying', untilMs: nowMs + (each.machinesMs ?? Infinity) }]
      if (Number.isFinite(nowMs)) expected.get(each.id)!.endsInMs = nowMs
      return []
    })
  }
  return expected
}

/** Whose turn it was last, as the queue would count it. */
class Turns {
  readonly #served = new Map<string, number>()
  readonly teams: QueueTeams
  #turn = Number.MAX_SAFE_INTEGER / 2

  constructor(teams: QueueTeams) {
    const lastServed = (team: string) => this.#served.get(team) ?? teams.lastServed(team)
    this.teams = { ...teams, lastServed }
  }

  /** Those that wait after it. */
  serve({ id, app }: Queued, waiting: Queued[]): Queued[] {
    const turn = ++this.#turn
    this.#served.set(this.teams.of(app), turn)
    const others = waiting.filter((each) => each.id !== id)
    for (const each of others) if (each.app === app) each.lastServed = turn
    return others
  }
}

const buildStates = ['fetching', 'analyzing', 'building', 'pushing'] as const
const machineStates = ['deploying', 'verifying'] as const
export type Phases = Partial<Record<DeploymentState, number>>

export const builtFor = (phases: Phases): number => sum(phases, buildStates)
export const atMachinesFor = (phases: Phases): number => sum(phases, machineStates)

const sum = (phases: Phases, states: readonly DeploymentState[]) =>
  states.reduce((all, state) => all + (phases[state] ?? 0), 0)

/** What is usual, from the phases of deployments that succeeded. */
export function usualSpans(past: readonly Phases[]): Spans {
  return {
    buildMs: medianOf(past.map(builtFor).filter((ms) => ms > 0)),
    machinesMs: medianOf(past.map(atMachinesFor).filter((ms) => ms > 0)),
  }
}

const medianOf = (all: number[]): number | null =>
  all.toSorted((a, b) => a - b)[all.length >> 1] ?? null

/** After so many times the usual time nobody knows any more. Short builds vary more. */
const muchLonger = 3
const muchLongerMs = 60_000

/** What is left of something that usually takes this long, after so long. */
export function leftOf(usualMs: number | null, afterMs: number): number | null {
  if (usualMs === null || afterMs > Math.max(muchLonger * usualMs, muchLongerMs)) return null
  return Math.max(usualMs - afterMs, usualMs / 10)
}
