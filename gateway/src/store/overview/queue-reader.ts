import { z } from 'zod'
import type { QueueEntry } from '#api/overview/queue.ts'
import type { OverviewStore } from '../../deployments/overview/overview-store.ts'
import type { QueueLimits } from '../../deployments/queue.ts'
import { queuePositions } from '../queue.ts'
import { Row, toDeployment } from '../record.ts'
import { readRows, seenRows } from '../store-tools.ts'
import type { Tables } from '../tables.ts'
import { expectedTimes, mostPlayed, type Times } from './expected-times.ts'
import { versionOf } from './version-of.ts'

/** A queue of ten thousand takes a while to schedule: readers get at most a 20th of the gateway's time. */
const restPerLook = 20

/** What is known of each deployment beside its record. */
type Look = { waiting: Map<string, QueueEntry['waiting']>; times: Map<string, Times> }

const QueueRow = Row.extend({ moved_up: z.number() })
type QueueRow = z.infer<typeof QueueRow>

/** See `OverviewStore.queue`. Each change of a queue is seen at once, unless it is too long to be played. */
export function queueReader(tables: Tables): OverviewStore['queue'] {
  const { deployments, queue, tools } = tables
  let last: Look = { waiting: new Map(), times: new Map() }
  let [restsUntil, isLong, version] = [0, false, '']

  const lookNow = (limits: QueueLimits | null): Look => {
    const from = performance.now()
    const versionNow = `${versionOf(tables)} ${limits === null}`
    if (from < restsUntil && (isLong || version === versionNow)) return last
    version = versionNow
    isLong = queue.countUnfinished() > mostPlayed
    last = tools.transaction(() => ({
      waiting: new Map(
        queuePositions(tables, limits).map(({ id, ...waiting }) => [id, waiting] as const),
      ),
      times: isLong ? new Map() : expectedTimes(tables, limits),
    }))
    restsUntil = performance.now() + restPerLook * (performance.now() - from)
    return last
  }

  return async (limits, { limit, isSeen }) => {
    const look = lookNow(limits)
    const found: QueueRow[] = []
    for (const row of readRows(QueueRow, seenRows(unfinished(deployments), isSeen))) {
      found.push(row)
      if (found.length > limit) break
    }
    return {
      pause: queue.pause.find(),
      entries: found.slice(0, limit).map((row) => entryOf(row, look)),
      isCut: found.length > limit,
    }
  }
}

/** In the order of the index: ten thousand records are not sorted. */
function* unfinished(deployments: Tables['deployments']) {
  for (const which of ["state <> 'pending'", "state = 'pending'"])
    yield* deployments
      .prepare(
        `SELECT * FROM deployments INDEXED BY deployments_unfinished
         WHERE ended_at IS NULL AND ${which} ORDER BY state, created_at`,
      )
      .iterate()
}

function entryOf(row: QueueRow, { waiting, times }: Look): QueueEntry {
  const { id, number, app, owner, state, stateSince, createdAt, preview, triggeredBy } =
    toDeployment(row)
  const isWaiting = state === 'pending'
  const { startsAt = null, endsAt = null } = times.get(id) ?? {}
  return {
    id,
    number,
    // A preview's deployment concerns the app that the preview belongs to.
    app: preview?.app ?? app,
    owner: preview?.owner ?? owner,
    state,
    stateSince: stateSince ?? createdAt,
    createdAt,
    triggeredBy,
    waiting: isWaiting ? (waiting.get(id) ?? null) : null,
    movedUp: isWaiting && row.moved_up > 0,
    startsAt: isWaiting ? startsAt : null,
    endsAt,
  }
}
