import { Deployment } from '#api/deployment.ts'
import type { QueueEntry } from '#api/overview/queue.ts'
import {
  atMachinesFor,
  builtFor,
  forecast,
  leftOf,
  type Phases,
  type Spans,
  usualSpans,
} from '../../deployments/overview/queue-forecast.ts'
import type { QueueLimits } from '../../deployments/queue.ts'
import { touchesMachines } from '../../deployments/states.ts'
import { toDeployment } from '../record.ts'
import { parsedObject } from '../store-tools.ts'
import type { Tables } from '../tables.ts'

export type Times = Pick<QueueEntry, 'startsAt' | 'endsAt'>

/** Playing the queue costs the square of its length. Of a longer one, no time is known. */
export const mostPlayed = 100
/** Of an app: the times of so many that succeeded, among so many of its newest. */
const [pastCount, pastLookedAt] = [5, 50]

/**
 * When what waits starts and ends, from the durations of the last deployments of each app. Empty while
 * nothing may start. For use within a transaction, for a queue of at most `mostPlayed`.
 */
export function expectedTimes(tables: Tables, limits: QueueLimits | null): Map<string, Times> {
  const { queue, suspects, tools } = tables
  if (limits === null || queue.pause.find() !== null || suspects.any()) return new Map()

  const now = queue.now()
  const at = tools.time()
  const usual = new Map<string, Spans>()
  const spansOf = (id: string) => spansLeft(tables, { id, usual, nowMs: Date.parse(at) })
  const spans = new Map([...now.queued, ...now.running].map(({ id }) => [id, spansOf(id)]))
  const after = (ms: number) => new Date(Date.parse(at) + ms).toISOString()
  return new Map(
    [...forecast(now, limits, (id) => spans.get(id)!)].map(([id, { startsInMs, endsInMs }]) => [
      id,
      { startsAt: after(startsInMs), endsAt: endsInMs === null ? null : after(endsInMs) },
    ]),
  )
}

type Asked = { id: string; usual: Map<string, Spans>; nowMs: number }

/** What a deployment still needs. `usual`: of each app, as far as it was read. */
function spansLeft({ deployments }: Tables, { id, usual, nowMs }: Asked): Spans {
  const { app, preview, phases, state, stateSince, options } = toDeployment(deployments.find(id)!)
  const key = preview?.app ?? app
  const known = usual.get(key) ?? usualSpans(pastPhases(deployments, { app, preview }))
  usual.set(key, known)
  const machinesMs = options.deploy ? known.machinesMs : 0
  if (state === 'pending') return { buildMs: known.buildMs, machinesMs }

  const sinceMs = stateSince === null ? 0 : Math.max(0, nowMs - Date.parse(stateSince))
  if (touchesMachines(state))
    return { buildMs: 0, machinesMs: leftOf(machinesMs, atMachinesFor(phases) + sinceMs) }
  return { buildMs: leftOf(known.buildMs, builtFor(phases) + sinceMs), machinesMs }
}

const phasesIn = (body: string) =>
  `iif(json_valid(${body}), ${body}, '{}') ->> '$.phases' AS phases`

/** Each preview has an app of its own: those of the app that it belongs to count. */
function pastPhases(
  deployments: Tables['deployments'],
  { app, preview }: { app: string; preview: { app: string } | null },
): Phases[] {
  const rows = preview
    ? deployments
        .prepare(
          `SELECT d.state, ${phasesIn('d.body')} FROM previews p JOIN deployments d ON d.id = p.deployment
           WHERE p.app = ? ORDER BY p.seq DESC LIMIT ?`,
        )
        .all(preview.app, pastLookedAt)
    : deployments
        .prepare(
          `SELECT state, ${phasesIn('body')} FROM deployments WHERE app = ? ORDER BY number DESC LIMIT ?`,
        )
        .all(app, pastLookedAt)
  return rows
    .filter(({ state }) => state === 'live' || state === 'built')
    .slice(0, pastCount)
    .map(({ phases }) => Deployment.shape.phases.safeParse(parsedObject(String(phases))).data ?? {})
}
