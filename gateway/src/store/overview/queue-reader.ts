import type { QueueEntry } from '#api/overview/queue.ts'
import type { OverviewStore } from '../../deployments/overview/overview-store.ts'
import type { QueueLimits } from '../../deployments/queue.ts'
import { queuePositions } from '../queue.ts'
import { Row, toDeployment } from '../record.ts'
import { readRows, seenRows } from '../store-tools.ts'
import type { Tables } from '../tables.ts'

/** A queue of ten thousand takes a while to schedule: readers get at most a 20th of the gateway's time. */
const restPerLook = 20

type Positions = Map<string, QueueEntry['waiting']>

/** See `OverviewStore.queue`. */
export function queueReader(tables: Tables): OverviewStore['queue'] {
  const { deployments, tools } = tables
  let positions: Positions = new Map()
  let restsUntil = 0

  const positionsNow = (limits: QueueLimits | null): Positions => {
    const from = performance.now()
    if (from < restsUntil) return positions
    const all = tools.transaction(() => queuePositions(tables, limits))
    positions = new Map(all.map(({ id, ...waiting }) => [id, waiting]))
    restsUntil = performance.now() + restPerLook * (performance.now() - from)
    return positions
  }

  return async (limits, { limit, isSeen }) => {
    const waiting = positionsNow(limits)
    const found: Row[] = []
    for (const row of readRows(Row, seenRows(unfinished(deployments), isSeen))) {
      found.push(row)
      if (found.length > limit) break
    }
    return {
      entries: found.slice(0, limit).map((row) => entryOf(row, waiting)),
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

function entryOf(row: Row, positions: Positions): QueueEntry {
  const { id, number, app, owner, state, stateSince, createdAt, preview, triggeredBy } =
    toDeployment(row)
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
    waiting: state === 'pending' ? (positions.get(id) ?? null) : null,
  }
}
