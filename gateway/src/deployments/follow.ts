import { type Deployment, isFinal } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import type { DeploymentStore } from './store.ts'

const pageSize = 500

/** A deployment's log from `after` on: what is already written, then what is written next, then the end. */
export async function* follow(
  store: Pick<DeploymentStore, 'find' | 'eventsAfter' | 'changed'>,
  id: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<DeploymentEvent, void> {
  let seq = after
  while (!signal.aborted) {
    const deployment = await store.find(id)
    if (!deployment) throw new Problem('deployment-not-found', `There is no deployment ${id}.`)
    assertLogKept(deployment)
    // Read after asking for the state: if that was final, the last event is already in the page.
    const page = await store.eventsAfter(id, seq, pageSize)
    for (const event of page) {
      yield event
      seq = event.seq
    }
    if (page.length === pageSize) continue
    if (isFinal(deployment.state)) return
    await store.changed(id, seq, signal)
  }
}

export function assertLogKept({ id, logDroppedAt }: Deployment): void {
  if (logDroppedAt === null) return
  const detail = `The log of deployment ${id} was taken away at ${logDroppedAt}; its record is still there.`
  throw new Problem('log-dropped', detail, { facts: { logDroppedAt } })
}
