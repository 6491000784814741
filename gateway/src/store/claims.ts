import type { QueueLimits } from '../deployments/queue.ts'
import type { Claim } from '../deployments/store.ts'
import { bodyOf, type Row } from './record.ts'
import type { Tables } from './tables.ts'

/** See `DeploymentStore.claim`. For use within a transaction of the store. */
export function claimNext(tables: Tables, limits: QueueLimits | null): Claim | null {
  const { suspects, queue, deployments } = tables
  if (suspects.any()) return claimSuspect(tables, limits)
  for (;;) {
    const { next } = queue.scheduled(limits)
    if (!next) return null
    const claim = startFromQueue(tables, deployments.find(next.id)!)
    if (claim) return claim
  }
}

function claimSuspect(tables: Tables, limits: QueueLimits | null): Claim | null {
  const { suspects, deployments, queue } = tables
  for (const row of suspects.inTurn()) {
    if (row.state !== 'pending') {
      const text = 'This runs alone now. The gateway reads the machines and continues.'
      deployments.write(row.id, [{ type: 'note', text }])
      return deployments.claimRow(row)
    }
    const claim = limits && !queue.pause.find() && startFromQueue(tables, row)
    if (claim) return claim
  }
  return null
}

/** Null: it ended at the fence. */
function startFromQueue({ deployments, lanes, apps, teams }: Tables, row: Row): Claim | null {
  const { image, requestedImage, source, options } = bodyOf(row)
  const to = image ? 'deploying' : requestedImage && !source ? 'pushing' : 'fetching'
  // A build for a deploy that the fence will refuse is in vain: a rollback went before it.
  if ((image || options.deploy) && lanes.isStoppedAtFence(row)) return null
  deployments.run('UPDATE deployments SET attempt = attempt + 1, waiting = NULL WHERE id = ?', [
    row.id,
  ])
  apps.served(row.app)
  teams.served(row.app)
  deployments.move(row, to, {})
  return deployments.claimRow(row)
}
