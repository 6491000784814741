import { z } from 'zod'
import type { DeploymentState } from '../deployment.ts'

/** How many deployments have not ended. `byState` lists only states that have some. */
export const QueueStatus = z.object({
  waiting: z.number(),
  running: z.number(),
  byState: z.record(z.string(), z.number()),
})
export type QueueStatus = z.infer<typeof QueueStatus>

export function queueStatus(counts: { state: DeploymentState; count: number }[]): QueueStatus {
  const sum = (isCounted: (state: DeploymentState) => boolean) =>
    counts.reduce((sum, { state, count }) => sum + (isCounted(state) ? count : 0), 0)
  return {
    waiting: sum((state) => state === 'pending'),
    running: sum((state) => state !== 'pending'),
    byState: Object.fromEntries(counts.map(({ state, count }) => [state, count])),
  }
}
