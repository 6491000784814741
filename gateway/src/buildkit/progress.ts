import { StringDecoder } from 'node:string_decoder'
import type { Tell } from '../deployments/tell.ts'
import { millis } from '../llb/wire.ts'
import type { StatusResponse } from './messages.ts'

export type BuildStats = { steps: number; cached: number; run: number }
/** What a failure needs to know of a step. */
export type StepFacts = { name: string; exporting: boolean; lastLines: string[] }

const lastLinesKept = 20
const maxLineChars = 16_384
const maxLastLineChars = 1000
const exporting = 'exporting to image'
const internal = /^\[internal\]/
/** The daemon’s name for unpacking a context that came by HTTP. */
const unpacking = 'copy /context /'

type Step = {
  id: string
  name: string
  hidden: boolean
  started: number | null
  status: 'waiting' | 'started' | 'cached' | 'done' | 'failed'
  /** Time of the intervals that have ended: a step may run in several. */
  ms: number
  /** Sources and the export run in several intervals: their end is told when it is used, or when all is over. */
  inIntervals: boolean
  told: 'started' | 'cached' | 'done' | 'failed' | null
  lines: { stdout: Lines; stderr: Lines }
  lastLines: string[]
}

/**
 * Turns what the daemon says of a solve into `step` and `log` events. Logs come whole lines at a time; the daemon itself
 * clips a step's output at 200 KiB/s and 2 MiB. Its internal steps are left out, unless they fail.
 */
export class Progress {
  readonly #steps = new Map<string, Step>()
  readonly #tell: Tell
  readonly #pushing: () => void
  readonly #plain: (text: string) => string
  #pushes = false

  /** `plain` takes out of a text what no reader should see. */
  constructor(about: { tell: Tell; pushing: () => void; plain: (text: string) => string }) {
    this.#tell = about.tell
    this.#pushing = about.pushing
    this.#plain = about.plain
  }

  take(news: StatusResponse): void {
    for (const vertex of news.vertexes) this.#takeVertex(vertex)
    for (const { vertex, id } of news.statuses) {
      if (this.#pushes || !id.startsWith('pushing ') || this.#steps.get(vertex)?.name !== exporting) continue
      this.#pushes = true
      this.#pushing()
    }
    for (const { vertex, stream, text } of news.logs) {
      const step = this.#steps.get(vertex)
      if (step) this.#log(step, stream === 2 ? 'stderr' : 'stdout', (lines) => lines.add(text))
    }
    for (const { short, url } of news.warnings) {
      const text = Buffer.from(short).toString()
      this.#tell({ type: 'warning', text: url ? `${text} (${url})` : text })
    }
  }

  /** Nothing that was begun is still open. */
  get settled(): boolean {
    return [...this.#steps.values()].every((step) => step.status !== 'started')
  }

  /** Told when no more news comes, so that no held line is lost. */
  end(): void {
    for (const step of this.#steps.values()) {
      this.#flush(step)
      this.#tellEnd(step)
    }
  }

  step(digest: string): StepFacts | null {
    const step = this.#steps.get(digest)
    return step ? { name: step.name, exporting: step.name === exporting, lastLines: step.lastLines } : null
  }

  /** The step that failed first, for errors that do not name theirs. */
  failed(): StepFacts | null {
    for (const [digest, step] of this.#steps) if (step.status === 'failed') return this.step(digest)
    return null
  }

  stats(): BuildStats {
    const steps = [...this.#steps.values()].filter(
      (step) => !step.hidden && step.name !== exporting && step.status !== 'waiting',
    )
    const cached = steps.filter((step) => step.status === 'cached').length
    return { steps: steps.length, cached, run: steps.length - cached }
  }

  #takeVertex(vertex: StatusResponse['vertexes'][number]): void {
    const step = this.#steps.get(vertex.digest) ?? this.#newStep(vertex)
    const started = vertex.started ? millis(vertex.started) : null
    if (started === null || step.status === 'cached') return
    const fresh = started !== step.started
    step.started = started
    if (fresh) {
      step.status = 'started'
      for (const input of vertex.inputs) this.#tellEnd(this.#steps.get(input))
      if (!vertex.cached) this.#turn(step, 'started')
    }
    if (vertex.cached) return this.#turn(step, 'cached')
    if (!vertex.completed || step.status !== 'started') return
    step.ms += Math.max(0, Math.round(millis(vertex.completed) - started))
    this.#flush(step)
    if (vertex.error) return this.#turn(step, 'failed', this.#plain(vertex.error))
    step.status = 'done'
    if (!step.inIntervals) this.#tellEnd(step)
  }

  #tellEnd(step: Step | undefined): void {
    if (step?.status === 'done') this.#turn(step, 'done')
  }

  #newStep({ digest, name, inputs }: StatusResponse['vertexes'][number]): Step {
    const step: Step = {
      id: name === exporting ? 'image' : digest.replace(/^sha256:/, '').slice(0, 8),
      name: name === unpacking ? 'load the source' : this.#plain(name),
      hidden: internal.test(name),
      started: null,
      status: 'waiting',
      ms: 0,
      inIntervals: inputs.length === 0,
      told: null,
      lines: { stdout: new Lines(), stderr: new Lines() },
      lastLines: [],
    }
    this.#steps.set(digest, step)
    return step
  }

  #turn(step: Step, status: 'started' | 'cached' | 'done' | 'failed', error?: string): void {
    step.status = status
    if (step.told === status || (step.hidden && status !== 'failed')) return
    step.told = status
    const ended = status === 'done' || status === 'failed'
    this.#tell({
      type: 'step',
      step: step.id,
      name: step.name,
      status,
      ...(ended && { ms: step.ms }),
      ...(error && { error }),
    })
  }

  #flush(step: Step): void {
    for (const stream of ['stdout', 'stderr'] as const) this.#log(step, stream, (lines) => lines.rest())
  }

  #log(step: Step, stream: 'stdout' | 'stderr', take: (lines: Lines) => string | null): void {
    const text = take(step.lines[stream])
    if (text === null) return
    this.#tell({ type: 'log', step: step.id, stream, text })
    const fresh = text.split('\n').slice(-lastLinesKept)
    step.lastLines = [...step.lastLines, ...fresh.map((line) => line.slice(0, maxLastLineChars))].slice(-lastLinesKept)
  }
}

/** Bytes cut anywhere in, whole lines out (several joined by line ends, without the last one's). */
class Lines {
  readonly #decoder = new StringDecoder('utf8')
  #held = ''

  add(bytes: Uint8Array): string | null {
    this.#held += this.#decoder.write(Buffer.from(bytes))
    const end = this.#held.lastIndexOf('\n')
    if (end < 0) return this.#held.length > maxLineChars ? this.#cut(this.#held.length) : null
    return this.#cut(end)
  }

  rest(): string | null {
    this.#held += this.#decoder.end()
    return this.#held === '' ? null : this.#cut(this.#held.length)
  }

  #cut(end: number): string {
    const text = this.#held.slice(0, end)
    this.#held = this.#held.slice(end + 1)
    return text
  }
}
