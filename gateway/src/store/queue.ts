import type { Deployment, NewCancelRequest } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { onCancel } from '../deployments/lanes.ts'
import { type QueueLimits, shouldAnnounce, waitedTooLong } from '../deployments/queue.ts'
import { memberOf, toDeployment } from './record.ts'
import type { Tables } from './tables.ts'
import { inParts } from './transactions.ts'

/** See `DeploymentStore.expireQueued`. */
export async function expireQueued(tables: Tables, limitMs: number): Promise<void> {
  const { deployments, tools } = tables
  const problem = waitedTooLong(limitMs).body()
  const late = deployments.ids(`state = 'pending' AND ended_at IS NULL AND updated_at < ?`, [
    deployments.time(-limitMs),
  ])
  await inParts(late, tools.transaction, (id) => {
    const row = deployments.find(id)
    if (row?.state === 'pending') deployments.move(row, 'build_failed', { problem })
  })
}

/** What each waiting deployment waits for. Call it in a transaction. */
export function queuePositions(
  { queue, suspects }: Pick<Tables, 'queue' | 'suspects'>,
  limits: QueueLimits | null,
) {
  const first = suspects.any() ? suspects.waiting().map(({ id }) => id) : null
  return queue.scheduled(limits, first).positions
}

/** See `DeploymentStore.publishQueuePositions`. */
export async function publishQueuePositions(
  { deployments, queue, suspects, tools }: Tables,
  limits: QueueLimits | null,
): Promise<void> {
  const positions = tools.transaction(() => queuePositions({ queue, suspects }, limits))
  const soon: typeof tools.transaction = (action) => tools.transaction(action, 'soon')
  await inParts(positions, soon, ({ id, ...position }) => {
    const last = queue.lastNotice(id)
    // It may have left the queue while others were updated.
    if (!shouldAnnounce(position, last) || !queue.waits(id)) return
    queue.recordNotice(id, {
      for: position.for,
      place: position.place,
      times: (last?.times ?? 0) + 1,
    })
    deployments.write(id, [{ type: 'waiting', ...position }])
  })
}

/** See `DeploymentStore.requestCancel`. Call it in a transaction. */
export function requestCancel(
  rows: Tables['deployments'],
  id: string,
  request: NewCancelRequest,
): Deployment {
  const row = rows.find(id)
  if (!row) throw new Problem('deployment-not-found', `There is no deployment ${id}.`)
  const change = onCancel(memberOf(row), request, rows.time())
  if (change) rows.apply(row, change)
  return toDeployment(change ? rows.find(id)! : row)
}
