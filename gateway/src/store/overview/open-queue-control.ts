import { Problem } from '#api/problem.ts'
import type { QueueControl } from '../../deployments/overview/queue-control.ts'
import { toDeployment } from '../record.ts'
import type { Tables } from '../tables.ts'

/** See `QueueControl`. */
export function openQueueControl({ deployments, queue, notices, tools }: Tables): QueueControl {
  return {
    pause: async ({ by, why }) =>
      tools.transaction(() => {
        const pause = { at: tools.time(), by, why }
        queue.pause.put(pause)
        notices.queueHasChanged()
        return pause
      }),
    resume: async () =>
      tools.transaction(() => {
        queue.pause.remove()
        notices.queueHasChanged()
      }),
    moveUp: async (id, by) =>
      tools.transaction(() => {
        const row = deployments.find(id)
        if (!row) throw new Problem('deployment-not-found', `There is no deployment ${id}.`)
        if (row.state !== 'pending') throw notWaiting(id, row.state)
        deployments.run(
          `UPDATE deployments SET moved_up = 1 + (
             SELECT max(moved_up) FROM deployments WHERE ended_at IS NULL AND state = 'pending'
           ) WHERE id = ?`,
          [id],
        )
        deployments.write(id, [
          { type: 'note', text: `${by} moved this to the front of the queue.` },
        ])
        notices.queueHasChanged()
        return toDeployment(deployments.find(id)!)
      }),
  }
}

const notWaiting = (id: string, state: string) =>
  new Problem(
    'not-waiting',
    `Deployment ${id} is ${state}: only one that waits in the queue can go first.`,
    { facts: { state } },
  )
