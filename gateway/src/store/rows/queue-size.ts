import { Problem } from '#api/problem.ts'
import { queueLimits } from '../../deployments/size-limits.ts'
import type { DeploymentRows } from './deployment-rows.ts'

/**
 * Refuses a deployment when the queue of its app or of the gateway is full. Database triggers keep
 * the sums.
 */
export function refuseFullQueue(rows: DeploymentRows, app: string, sizeBytes: number): void {
  const kept = rows.prepare('SELECT count, bytes FROM queue_sizes WHERE app = ?')
  for (const [scope, whose, limit] of [
    [app, `of ${app}`, queueLimits.app],
    ['', 'of this builder', queueLimits.all],
  ] as const) {
    const { count = 0, bytes = 0 } = (kept.get(scope) ?? {}) as { count?: number; bytes?: number }
    if (count < limit.count && bytes + sizeBytes <= limit.bytes) continue
    const detail = `${count} deployments ${whose} have not ended, and their records have ${bytes} bytes. At most ${limit.count} may wait, with ${limit.bytes} bytes. Wait until some have ended, or cancel what is no longer needed; then send this again.`
    throw new Problem('queue-full', detail, {
      facts: { count, bytes, limitCount: limit.count, limitBytes: limit.bytes },
    })
  }
}
