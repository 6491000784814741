import type { Deployment } from '#api/deployment.ts'
import type { PauseAnswer } from '#api/overview/queue.ts'
import type { Principal } from '../../callers/principal.ts'
import type { DeploymentStore } from '../../deployments/store.ts'

/** What an operator may do with the queue of all apps. */
export type QueueCommands = {
  /**
   * Starts nothing that waits until `resume`, also after a restart. What runs goes on, and new
   * deployments are accepted: they wait. A second call changes the reason.
   */
  pause(caller: Principal, why: string | null): Promise<PauseAnswer>
  resume(caller: Principal): Promise<PauseAnswer>
  /** Moves a waiting deployment, and what is ahead of it in its lane, before all others. Throws `not-waiting`. */
  first(caller: Principal, id: string): Promise<Deployment>
}

export const queueCommands = ({
  queueControl,
}: Pick<DeploymentStore, 'queueControl'>): QueueCommands => ({
  pause: async ({ name }, why) => ({ pause: await queueControl.pause({ by: name, why }) }),
  async resume() {
    await queueControl.resume()
    return { pause: null }
  },
  first: ({ name }, id) => queueControl.moveUp(id, name),
})
