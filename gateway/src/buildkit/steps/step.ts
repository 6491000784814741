import type { EventSink } from '../../deployments/event-sink.ts'
import type { NewEvent } from '#api/event.ts'
import type { StatusResponse } from '../messages.ts'
import type { MarkedOutput } from './marked-output.ts'
import type { StepRecord } from './step-records.ts'
import { StepLog } from './step-log.ts'

/** A step, as a message of the daemon names it. */
export type Vertex = StatusResponse['vertexes'][number]
/** A step of a build, and what the log has of it. */
export type Step = {
  id: string
  name: string
  exporting: boolean
  hidden: boolean
  started: number | null
  status: 'waiting' | 'started' | 'cached' | 'done' | 'failed'
  /** Time of the finished intervals, in milliseconds: a step may run in several. */
  ms: number
  /**
   * Sources and the export run in several intervals. Their end is reported when another step uses
   * them, or when the solve is over.
   */
  inIntervals: boolean
  emitted: 'started' | 'cached' | 'done' | 'failed' | null
  /**
   * Undefined until its stderr begins. Only the first line can be the script's; all later lines are
   * the step's own.
   */
  record: string | null | undefined
  /** Null until its stderr begins, and if `runc-with-output-limit` does not mark its output. */
  output: MarkedOutput | null
  log: StepLog
}

/** The facts about a step that a failure message needs. */
export type StepFacts = {
  name: string
  /**
   * Whether it is a source: only sources need no other step. Its name proves nothing, because a
   * plan may name steps freely.
   */
  source: boolean
  /**
   * The name of its record by `runc-with-limits`. Null if the step did not run, or ran without that
   * script.
   */
  record: string | null
}

const exporting = 'exporting to image'
const internal = /^\[internal\]/

export function newStep(
  { digest, name, inputs }: Vertex,
  { plain, emit }: { plain: (text: string) => string; emit: EventSink },
): Step {
  const id = name === exporting ? 'image' : digest.replace(/^sha256:/, '').slice(0, 8)
  return {
    id,
    name: plain(name),
    exporting: name === exporting,
    hidden: internal.test(name),
    started: null,
    status: 'waiting',
    ms: 0,
    inIntervals: inputs.length === 0,
    emitted: null,
    record: undefined,
    output: null,
    log: new StepLog(id, emit),
  }
}

/** Reads the record of a step by its name. Null: there is none. */
export type RecordOf = (name: string) => Pick<StepRecord, 'cpuMs' | 'peakMemoryBytes'> | null

/** The event that says what became of a step, and at its end what it used. */
export function eventOf(
  { id, name, ms }: Step,
  {
    status,
    error,
    record,
  }: {
    status: 'started' | 'cached' | 'done' | 'failed'
    error: string | undefined
    record: ReturnType<RecordOf>
  },
): NewEvent {
  const ended = status === 'done' || status === 'failed'
  const { cpuMs, peakMemoryBytes } = record ?? {}
  return {
    type: 'step',
    step: id,
    name,
    status,
    ...(ended && { ms }),
    ...(ended && cpuMs != null && { cpuMs }),
    ...(ended && peakMemoryBytes != null && { peakMemoryBytes }),
    ...(error && { error }),
  }
}

export const factsOf = ({ name, inIntervals, record }: Step): StepFacts => ({
  name,
  source: inIntervals,
  record: record ?? null,
})
