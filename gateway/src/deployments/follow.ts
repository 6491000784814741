import { type Deployment, isFinal } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import type { DeploymentStore } from './store.ts'

export type LogStore = Pick<DeploymentStore, 'find' | 'eventsAfter' | 'changed'>
/** Events that follow each other, as they were read. */
export type Page = readonly DeploymentEvent[]

const pageEvents = 500
/** No more than a page of a log is held for a reader. */
const pageBytes = 64 * 1024

/** A deployment's log from `after` on: what is already written, then what is written next, then the end. */
export async function* follow(store: LogStore, id: string, after: number, signal: AbortSignal) {
  for await (const page of followPages(store, id, after, signal)) yield* page
}

/** The same, page by page. */
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
    // Read after asking for the state: if that was final, what there is no more of has ended.
    const page = await pageAfter(store, id, seq)
    if (page.length > 0) {
      yield page
      seq = page.at(-1)!.seq
    } else if (isFinal(deployment.state)) return
    else await store.changed(id, seq, signal)
  }
}

/** The deployment at its end, or as it stands when the signal fires; null: there is none. Nothing of its log is read. */
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

export const pageAfter = (store: LogStore, id: string, after: number): Promise<Page> =>
  store.eventsAfter(id, after, pageEvents, pageBytes)

export function assertLogKept({ id, logDroppedAt }: Deployment): void {
  if (logDroppedAt === null) return
  const detail = `The log of deployment ${id} was taken away at ${logDroppedAt}; its record is still there.`
  throw new Problem('log-dropped', detail, { facts: { logDroppedAt } })
}
