import type { IncomingMessage } from 'node:http'
import { type DeploymentEvent, NewEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import { knownQuery } from '../query.ts'

/** Which events a reader asked for. Equal filters have the same `key`. */
export type LogFilter = { key: string; keeps: (event: DeploymentEvent) => boolean }

const types: string[] = NewEvent.options.map(({ shape }) => shape.type.value)
const streams = ['stdout', 'stderr']

/** Reads `?only=state,machine`, `?step=…` and `?stream=stderr`. An event must match all. */
export function filterOf(request: IncomingMessage): LogFilter {
  const query = knownQuery(request, 'only', 'step', 'stream', 'after')
  const [only, step, stream] = ['only', 'step', 'stream'].map((name) => query.get(name) || null)
  if (!only && !step && !stream) return everything
  const wantedTypes = new Set(only?.split(',') ?? types)
  for (const type of wantedTypes) check('only', type, types)
  if (stream) check('stream', stream, streams)
  return {
    key: JSON.stringify([only, step, stream]),
    keeps: (event) =>
      wantedTypes.has(event.type) &&
      (!step || ('step' in event && event.step === step)) &&
      (!stream || ('stream' in event && event.stream === stream)),
  }
}

export const everything: LogFilter = { key: '', keeps: () => true }

function check(name: string, value: string, known: string[]): void {
  if (known.includes(value)) return
  const detail = `The filter ${name} does not know ${value.slice(0, 50)}. It knows ${known.join(', ')}.`
  throw new Problem('request-invalid', detail, { facts: { filter: name, known } })
}
