import type { QueueEntry } from '#api/overview/queue.ts'
import type { OverviewStore } from '../../deployments/overview/overview-store.ts'
import type { QueueLimits } from '../../deployments/queue.ts'
import { queuePositions } from '../queue.ts'
import { Row, toDeployment } from '../record.ts'
import { readRows, seenRows } from '../store-tools.ts'
import type { Tables } from '../tables.ts'
import { expectedTimes, type Times } from './expected-times.ts'
import { versionOf } from './version-of.ts'

/** A queue of ten thousand takes a while to schedule: readers get at most a 20th of the gateway's time. */
const restPerLook = 20
/** Of a shorter queue, each change is seen at once. */
const mostAlwaysNew = 100

/** What is known of each deployment beside its record. */
type Look = {
  waiting: Map<string, QueueEntry['waiting']>
  movedUp: Set<string>
  times: Map<string, Times>
}

/** See `OverviewStore.queue`. */
export function queueReader(tables: Tables): OverviewStore['queue'] {
  const { deployments, queue, tools } = tables
  let last: Look = { waiting: new Map(), movedUp: new Set(), times: new Map() }
  let [restsUntil, isLong, version] = [0, false, '']

  const lookNow = (limits: QueueLimits | null): Look => {
    const from = performance.now()
    const versionNow = `${versionOf(tables)} ${limits === null}`
    if (from < restsUntil && (isLong || version === versionNow)) return last
    version = versionNow
    isLong = queue.countUnfinished() > mostAlwaysNew
    last = tools.transaction(() => {
      const moved = queue.now().queued.filter(({ movedUp }) => movedUp > 0)
      return {
        waiting: new Map(
          queuePositions(tables, limits).map(({ id, ...waiting }) => [id, waiting] as const),
        ),
        movedUp: new Set(moved.map(({ id }) => id)),
        times: expectedTimes(tables, limits),
      }
    })
    restsUntil = performance.now() + restPerLook * (performance.now() - from)
    return last
  }

  return async (limits, { limit, isSeen }) => {
    const look = lookNow(limits)
    const found: Row[] = []
    for (const row of readRows(Row, seenRows(unfinished(deployments), isSeen))) {
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

function entryOf(row: Row, { waiting, movedUp, times }: Look): QueueEntry {
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
    movedUp: isWaiting && movedUp.has(id),
    startsAt: isWaiting ? startsAt : null,
    endsAt,
  }
}
