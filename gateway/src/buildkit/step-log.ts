import { StringDecoder } from 'node:string_decoder'
import type { Tell } from '../deployments/tell.ts'

/** Bytes of output that are told whole: of each step, and of all steps of a build together. */
export type LogLimits = { stepBytes: number; buildBytes: number }
export type Stream = 'stdout' | 'stderr'

const lastLinesKept = 20
const maxLineChars = 16_384
const maxLastLineChars = 1000
/** How often a step that has said too much shows that it is alive. */
const pieceEveryMs = 5000
const clippedByDaemon = '[output clipped, log limit '

/**
 * The output of one step: bytes cut anywhere in, whole lines out. A step that says more than its limit is told whole up
 * to there, then by its last lines at times and at its end, each with how much was left out.
 */
export class StepLog {
  /** For whoever must say why the step failed. */
  lastLines: string[] = []
  readonly #step: { id: string; name: string }
  readonly #tell: Tell
  readonly #limits: LogLimits
  readonly #build: { toldBytes: number }
  readonly #lines = { stdout: new Lines(), stderr: new Lines() }
  #toldBytes = 0
  #leftOut: { bytes: number; lines: string[]; since: number } | undefined
  #clipped = false

  /** `build` counts what was told of all steps of a build. */
  constructor(
    step: { id: string; name: string },
    { tell, limits, build }: { tell: Tell; limits: LogLimits; build: { toldBytes: number } },
  ) {
    this.#step = step
    this.#tell = tell
    this.#limits = limits
    this.#build = build
  }

  add(stream: Stream, bytes: Uint8Array): void {
    this.#take(stream, this.#lines[stream].add(bytes))
  }

  /** Tells what is held; more may still come. */
  flush(): void {
    for (const stream of ['stdout', 'stderr'] as const) this.#take(stream, this.#lines[stream].rest())
    this.#tellLeftOut()
  }

  #take(stream: Stream, text: string | null): void {
    if (text === null) return
    const last = lastLinesOf(text)
    this.lastLines = [...this.lastLines, ...last].slice(-lastLinesKept)
    const sizeBytes = Buffer.byteLength(text) + 1
    const { stepBytes, buildBytes } = this.#limits
    const fits = this.#toldBytes + sizeBytes <= stepBytes && this.#build.toldBytes + sizeBytes <= buildBytes
    if (fits && !this.#leftOut) {
      this.#toldBytes += sizeBytes
      this.#build.toldBytes += sizeBytes
      return this.#tell({ type: 'log', step: this.#step.id, stream, text })
    }
    this.#clipped ||= text.includes(clippedByDaemon)
    const left = (this.#leftOut ??= { bytes: 0, lines: [], since: performance.now() })
    left.bytes += sizeBytes
    left.lines = [...left.lines, ...last].slice(-lastLinesKept)
    if (performance.now() - left.since > pieceEveryMs) this.#tellLeftOut()
  }

  #tellLeftOut(): void {
    if (!this.#leftOut || this.#leftOut.bytes === 0) return
    const { bytes, lines } = this.#leftOut
    const { stepBytes, buildBytes } = this.#limits
    const text = lines.join('\n')
    const untold = `${this.#clipped ? 'more than ' : ''}${inMb(Math.max(0, bytes - Buffer.byteLength(text)))}`
    const kept = `Told whole are ${inMb(stepBytes)} of a step and ${inMb(buildBytes)} of a build, then its last lines.`
    this.#tell({ type: 'note', text: `“${this.#step.name}”: ${untold} of its output left out. ${kept}` })
    this.#tell({ type: 'log', step: this.#step.id, stream: 'stdout', text })
    this.#leftOut = { bytes: 0, lines: [], since: performance.now() }
  }
}

const inMb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`

function lastLinesOf(text: string): string[] {
  let from = text.length
  for (let lines = 0; lines < lastLinesKept && from >= 0; lines++) from = text.lastIndexOf('\n', from - 1)
  return text
    .slice(Math.max(0, from))
    .split('\n')
    .slice(-lastLinesKept)
    .map((line) => line.slice(0, maxLastLineChars))
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
