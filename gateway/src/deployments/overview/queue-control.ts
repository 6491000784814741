import type { Deployment } from '#api/deployment.ts'
import type { QueuePause } from '#api/overview/queue.ts'

/** What an operator changes of the queue. It holds over restarts. */
export interface QueueControl {
  /** Nothing that waits starts until `resume`. What changes machines after a death of the gateway does. */
  pause(pause: Pick<QueuePause, 'by' | 'why'>): Promise<QueuePause>
  resume(): Promise<void>
  /**
   * Moves a deployment that waits to the front of the queue, with its lane. Throws `deployment-not-found`
   * or `not-waiting`.
   */
  moveUp(id: string, by: string): Promise<Deployment>
}
