import { PauseAnswer, Queue, type QueueEntry } from '#api/overview/queue.ts'
import { Deployment } from '#api/deployment.ts'
import { fill, routes } from '#api/routes.ts'
import { waitsFor } from '#api/text/event-words.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { table } from '#api/text/table.ts'
import { readAnswer } from '../answers.ts'
import type { Gateway } from '../gateway.ts'
import type { Printer } from '../print.ts'

export type QueueRequest =
  | { verb: 'list' | 'resume' }
  | { verb: 'pause'; why: string | null }
  | { verb: 'first'; id: string }

export const queueUsage = '[pause | resume | first DEPLOYMENT]'

export const queueHelp = `Options of queue:
  --why TEXT            why it is paused; all who wait can read it`

/** Reads `tarmac queue`, and `tarmac queue pause`, `resume` and `first DEPLOYMENT`. Null: another use. */
export function readQueueArgs(
  [verb = 'list', id, ...rest]: string[],
  { why }: { why?: string | undefined },
): QueueRequest | null {
  if (rest.length > 0 || (id === undefined) === (verb === 'first')) return null
  if (verb === 'first' && id !== undefined) return { verb, id }
  if (verb === 'pause') return { verb, why: why ?? null }
  return verb === 'list' || verb === 'resume' ? { verb } : null
}

type Calling = { gateway: Gateway; printer: Printer; signal: AbortSignal }

/** Lists what runs and waits, or changes the queue, which needs the scope admin. */
export async function queue(
  request: QueueRequest,
  { gateway, printer, signal }: Calling,
): Promise<number> {
  const ask = (method: 'GET' | 'POST' | 'DELETE', path: string) => gateway.ask(method, path, signal)
  if (request.verb === 'list') {
    const found = readAnswer(Queue, await ask('GET', routes.queue))
    return printer.result(found, queueLines(found))
  }
  if (request.verb === 'first') {
    const answer = await ask('POST', fill(routes.goFirst, { id: request.id }))
    const { id, app, number } = readAnswer(Moved, answer)
    return printer.result({ id, app, number }, [`${app} #${number} goes first`])
  }
  const query = request.verb === 'pause' ? new URLSearchParams({ why: request.why ?? '' }) : null
  const answer = query
    ? await ask('POST', `${routes.queuePause}?${query.toString()}`)
    : await ask('DELETE', routes.queuePause)
  const { pause } = readAnswer(PauseAnswer, answer)
  return printer.result({ pause }, [pause ? pausedLine(pause) : 'the queue is not paused'])
}

const Moved = Deployment.pick({ id: true, app: true, number: true })

export function queueLines({ pause, slots, entries, isCut }: Queue): string[] {
  const { builds, deploys } = slots
  const used = (of: typeof builds) =>
    of.used === null ? `at most ${of.limit}` : `${of.used} of ${of.limit}`
  const rows = entries.map((each) => [
    each.id,
    each.owner === null ? each.app : `${each.app}/${each.owner}`,
    `${each.number}`,
    each.state,
    waitingText(each),
    each.startsAt === null ? '' : minuteOf(each.startsAt),
    each.endsAt === null ? '' : minuteOf(each.endsAt),
    each.triggeredBy?.name ?? '',
  ])
  return [
    ...(pause ? [pausedLine(pause)] : []),
    `builds: ${used(builds)}; at machines: ${used(deploys)}`,
    ...(entries.length === 0
      ? ['nothing runs, and nothing waits']
      : table(
          [
            ['DEPLOYMENT', 'APP', 'NUMBER', 'STATE', 'WAITS FOR', 'STARTS (UTC)', 'ENDS', 'CALLER'],
            ...rows,
          ],
          [2],
        )),
    ...(isCut ? ['there are more, which are not listed here'] : []),
  ]
}

function waitingText({ state, waiting, movedUp }: QueueEntry): string {
  if (state !== 'pending') return ''
  const what = waiting
    ? `${waitsFor({ type: 'waiting', ...waiting })}, place ${waiting.place}`
    : 'nothing'
  return movedUp ? `${what}; goes first` : what
}

const pausedLine = ({ at, by, why }: NonNullable<Queue['pause']>): string =>
  `paused by ${by} at ${minuteOf(at)} UTC${why === null ? '' : `: ${why}`}`
