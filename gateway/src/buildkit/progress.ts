import type { EventSink } from '../deployments/event-sink.ts'
import { millis } from '../llb/wire.ts'
import type { StatusResponse } from './messages.ts'
import { warningOf } from './steps/lint-warning.ts'
import { MarkedOutput } from './steps/marked-output.ts'
import { takeStepName } from './steps/step-records.ts'
import {
  eventOf,
  factsOf,
  newStep,
  type RecordOf,
  type Step,
  type StepFacts,
  type Vertex,
} from './steps/step.ts'

type About = {
  emit: EventSink
  pushing: () => void
  /** Removes from a text what readers must not see. */
  plain: (text: string) => string
  recordOf: RecordOf
}

export type BuildStats = { steps: number; cached: number; run: number }
/** Many small pieces of output are joined into events of this size. */
const gatherBytes = 64 * 1024
/**
 * The daemon sends everything since its last message as one batch. Steps come first, so their order
 * relative to the output is lost. A batch with more output than this continues in further messages
 * that hold only output. It ends with a message without output (moby/buildkit client/status.go,
 * `Marshal`).
 */
const splitBytes = 1024 * 1024

/**
 * Turns the daemon's status messages into `step` and `log` events. Internal steps are left out
 * unless they fail.
 *
 * A step ends in the log after its last output. The end of marked output is a mark. The gateway
 * waits for it until a step begins that uses this one, or until the solve is over: a killed wrapper
 * sends no mark. Without marks (another daemon), the output ends with the batch that reports the
 * end.
 */
export class Progress {
  readonly #steps = new Map<string, Step>()
  /** The running steps, kept apart because every message needs them. */
  readonly #started = new Set<Step>()
  readonly #about: About
  #pushes = false
  /** Whether more messages of the current batch will follow. */
  #batchOpen = false
  /** Steps that have ended, but whose output may not be complete. */
  #endings: Vertex[] = []

  constructor(about: About) {
    this.#about = about
  }

  /** Processes a whole message of the daemon. */
  take(news: StatusResponse): void {
    for (const _ of this.slices(news));
  }

  /**
   * Does the same in small slices of work, so that a flood of output leaves time for other callers.
   */
  *slices(news: StatusResponse): Generator<void, void> {
    const outputBytes = news.logs.reduce((sum, { text }) => sum + text.length, 0)
    const goesOn =
      this.#batchOpen && outputBytes > 0 && news.vertexes.length + news.statuses.length === 0
    if (!goesOn) this.#endSteps()
    this.#batchOpen = goesOn || outputBytes > splitBytes

    const writers = new Set(news.logs.map(({ vertex }) => vertex))
    for (const vertex of news.vertexes) {
      const writes =
        writers.has(vertex.digest) ||
        (this.#batchOpen && vertex.inputs.length > 0) ||
        this.#awaitsMark(vertex)
      if (!writes || !vertex.completed) this.#takeVertex(vertex)
      else {
        this.#takeVertex({ ...vertex, completed: undefined })
        this.#endings.push(vertex)
      }
    }

    for (const { vertex, id } of news.statuses) {
      if (this.#pushes || !id.startsWith('pushing ') || !this.#steps.get(vertex)?.exporting)
        continue
      this.#pushes = true
      this.#about.pushing()
    }

    for (const { vertex, stream, text } of gathered(news.logs)) {
      this.#takeOutput(vertex, stream === 2 ? 'stderr' : 'stdout', text)
      yield
    }

    if (!this.#batchOpen) this.#endSteps(({ digest }) => isUsedBy(news.vertexes, digest))
    // Each further message of a batch repeats its warnings.
    for (const warning of goesOn ? [] : news.warnings) this.#about.emit(warningOf(warning))
  }

  /** True if no step is running. */
  get settled(): boolean {
    return this.#started.size === 0
  }

  /** Call when no more messages will come, so that no held line is lost. */
  end(): void {
    this.#endSteps(() => true)
    for (const step of this.#steps.values()) {
      step.log.flush()
      this.#emitEnd(step)
    }
  }

  /** True if the end of this step is in the log. */
  hasEnded(digest: string): boolean {
    const status = this.#steps.get(digest)?.status
    return status === 'failed' || status === 'done' || status === 'cached'
  }

  step(digest: string): StepFacts | null {
    const step = this.#steps.get(digest)
    return step ? factsOf(step) : null
  }

  /** The step that failed first, for errors that do not name a step. */
  failed(): StepFacts | null {
    for (const step of this.#steps.values()) if (step.status === 'failed') return factsOf(step)
    return null
  }

  /** The names of the running steps. */
  running(): string[] {
    return [...this.#started].filter((step) => !step.hidden).map(({ name }) => name)
  }

  stats(): BuildStats {
    const steps = [...this.#steps.values()].filter(
      (step) => !step.hidden && !step.exporting && step.status !== 'waiting',
    )
    const cached = steps.filter((step) => step.status === 'cached').length
    return { steps: steps.length, cached, run: steps.length - cached }
  }

  #takeOutput(vertex: string, stream: 'stdout' | 'stderr', bytes: Buffer): void {
    const step = this.#steps.get(vertex)
    if (!step) return
    let rest = bytes
    if (stream === 'stderr' && step.record === undefined) {
      const first = takeStepName(bytes)
      step.record = first.name
      step.output = first.key === null ? null : new MarkedOutput(first.key)
      rest = first.rest
    }

    if (stream === 'stdout' || !step.output) return step.log.add(stream, rest)
    for (const part of step.output.parts(rest)) {
      if ('lost' in part) step.log.lost(part.lost)
      else step.log.add(part.stream, part.bytes)
    }
  }

  #awaitsMark({ digest }: Vertex): boolean {
    const output = this.#steps.get(digest)?.output
    return output?.ended === false
  }

  /** Ends the steps whose output is complete, and those that wait for a mark no longer. */
  #endSteps(isOver: (vertex: Vertex) => boolean = () => false): void {
    for (const vertex of this.#endings.splice(0)) {
      if (isOver(vertex) || !this.#awaitsMark(vertex)) this.#takeVertex(vertex)
      else this.#endings.push(vertex)
    }
  }

  #takeVertex(vertex: Vertex): void {
    const step = this.#steps.get(vertex.digest) ?? this.#newStep(vertex)
    const started = vertex.started ? millis(vertex.started) : null
    if (started === null || step.status === 'cached') return
    if (step.started !== null && started < step.started) return // the end of an earlier run

    const fresh = started !== step.started
    step.started = started
    if (fresh) {
      this.#become(step, 'started')
      step.record = undefined
      step.output = null
      for (const input of vertex.inputs) this.#emitEnd(this.#steps.get(input))
      if (!vertex.cached) this.#turn(step, 'started')
    }

    if (vertex.cached) return this.#turn(step, 'cached')
    if (!vertex.completed || step.status !== 'started') return

    step.ms += Math.max(0, Math.round(millis(vertex.completed) - started))
    step.log.flush()
    if (vertex.error) return this.#turn(step, 'failed', this.#about.plain(vertex.error))
    this.#become(step, 'done')
    if (!step.inIntervals) this.#emitEnd(step)
  }

  #emitEnd(step: Step | undefined): void {
    if (step?.status === 'done') this.#turn(step, 'done')
  }

  #newStep(vertex: Vertex): Step {
    const step = newStep(vertex, { plain: this.#about.plain, emit: this.#about.emit })
    this.#steps.set(vertex.digest, step)
    return step
  }

  #become(step: Step, status: Step['status']): void {
    step.status = status
    if (status === 'started') this.#started.add(step)
    else this.#started.delete(step)
  }

  #turn(step: Step, status: 'started' | 'cached' | 'done' | 'failed', error?: string): void {
    this.#become(step, status)
    if (step.emitted === status || (step.hidden && status !== 'failed')) return
    step.emitted = status
    this.#about.emit(
      eventOf(step, { status, error, record: this.#about.recordOf(step.record ?? '') }),
    )
  }
}

const isUsedBy = (vertexes: Vertex[], digest: string): boolean =>
  vertexes.some(({ started, inputs }) => started !== undefined && inputs.includes(digest))

/** Joins neighbouring pieces of one output. */
function* gathered(logs: StatusResponse['logs']) {
  for (let at = 0; at < logs.length;) {
    const { vertex, stream } = logs[at]!
    const pieces: Uint8Array[] = []
    for (let bytes = 0; bytes < gatherBytes; at++) {
      const piece = logs[at]
      if (piece?.vertex !== vertex || piece.stream !== stream) break
      bytes += pieces[pieces.push(piece.text) - 1]!.length
    }
    yield { vertex, stream, text: Buffer.concat(pieces) }
  }
}
