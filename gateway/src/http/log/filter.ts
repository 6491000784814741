import type { IncomingMessage } from 'node:http'
import { type DeploymentEvent, NewEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import { knownQuery } from '../query.ts'

/** Which events a reader asked for. Equal filters have the same `key`. */
export type LogFilter = {
  key: string
  keeps: (event: DeploymentEvent) => boolean
  /** Reads a page first, to learn which steps have the name that was asked for. */
  learn: (page: readonly DeploymentEvent[]) => void
  /** Whether the filter must see the log from its start. It keeps nothing before `after`. */
  fromStart: boolean
}

const types: string[] = NewEvent.options.map(({ shape }) => shape.type.value)
const streams = ['stdout', 'stderr']

/**
 * Reads `?only=state,machine`, `?step=…` (the id or the name of a step) and `?stream=stderr`. An
 * event must match all. `after` is the number of the last event that the reader has.
 * `more`: other names that the call knows.
 */
export function filterOf(
  request: IncomingMessage,
  { after = 0, more = [] }: { after?: number; more?: string[] } = {},
): LogFilter {
  const query = knownQuery(request, 'only', 'step', 'stream', 'after', ...more)
  const [only, step, stream] = ['only', 'step', 'stream'].map((name) => query.get(name) || null)
  if (!only && !step && !stream) return everything
  const wantedTypes = new Set(only?.split(',') ?? types)
  for (const type of wantedTypes) check('only', type, types)
  if (stream) check('stream', stream, streams)
  // Only the events of type step have the name of a step. Several steps may have one name.
  const steps = new Set([step])
  return {
    key: JSON.stringify([only, step, stream, step && after]),
    keeps: (event) =>
      wantedTypes.has(event.type) &&
      (!step || ('step' in event && steps.has(event.step) && event.seq > after)) &&
      (!stream || ('stream' in event && event.stream === stream)),
    learn(page) {
      for (const event of page)
        if (event.type === 'step' && event.name === step) steps.add(event.step)
    },
    fromStart: step !== null,
  }
}

export const everything: LogFilter = {
  key: '',
  keeps: () => true,
  learn: () => {},
  fromStart: false,
}

function check(name: string, value: string, known: string[]): void {
  if (known.includes(value)) return
  const detail = `The filter ${name} does not know ${value.slice(0, 50)}. It knows ${known.join(', ')}.`
  throw new Problem('request-invalid', detail, { facts: { filter: name, known } })
}
