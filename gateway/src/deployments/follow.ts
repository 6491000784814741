import { type Deployment, isFinal } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import type { DeploymentStore } from './store.ts'

export type LogStore = Pick<DeploymentStore, 'find' | 'eventsAfter' | 'changed'>
/** Consecutive events, as read from the store. */
export type Page = readonly DeploymentEvent[]

const pageEvents = 500
/** The gateway holds at most one page of a log per reader. */
const pageBytes = 64 * 1024

/** Yields a deployment's log after `after`: stored events, then new ones, until it is complete. */
export async function* follow(store: LogStore, id: string, after: number, signal: AbortSignal) {
  for await (const page of followPages(store, id, after, signal)) yield* page
}

/** Like `follow`, page by page. */
export async function* followPages(
  store: LogStore,
  id: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<Page, void> {
  let seq = after
  while (!signal.aborted) {
    const deployment = await store.find(id)
    if (!deployment) throw new Problem('deployment-not-found', `There is no deployment ${id}.`)
    assertLogKept(deployment)

    // Read the state first, then the events. If the state was final and no events are left, the log
    // is complete.
    const page = await pageAfter(store, id, seq)
    if (page.length > 0) {
      yield page
      seq = page.at(-1)!.seq
    } else if (isFinal(deployment.state)) return
    else await store.changed(id, seq, signal)
  }
}

/**
 * Waits until the deployment ends or the signal aborts, then returns it. Null: there is none. Reads
 * nothing of its log.
 */
export async function untilEnd(
  store: LogStore,
  id: string,
  signal: AbortSignal,
): Promise<Deployment | null> {
  for (;;) {
    const deployment = await store.find(id)
    if (!deployment || isFinal(deployment.state) || signal.aborted) return deployment
    await store.changed(id, Number.MAX_SAFE_INTEGER, signal)
  }
}

export const pageAfter = (
  store: Pick<LogStore, 'eventsAfter'>,
  id: string,
  after: number,
): Promise<Page> => store.eventsAfter(id, after, pageEvents, pageBytes)

export function assertLogKept({ id, logDroppedAt }: Deployment): void {
  if (logDroppedAt === null) return
  const detail = `The log of deployment ${id} was deleted at ${logDroppedAt}. Its record still exists.`
  throw new Problem('log-dropped', detail, { facts: { logDroppedAt } })
}
