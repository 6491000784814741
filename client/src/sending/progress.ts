import { inMb } from '#api/text/in-mb.ts'

/** What a command sends. `files` and `bytes` are sent, of all that the source has. */
export type SendingPlan = { files: number; bytes: number; allFiles: number; allBytes: number }

/** Shows how far a source is on its way. */
export type SendingProgress = {
  /** Called again when it turns out that something else is missing. */
  plan: (plan: SendingPlan) => void
  /** `lineBytes` were sent, with `contentBytes` of files. Less than 0: those have to be sent again. */
  sent: (lineBytes: number, contentBytes: number) => void
  /** Says something between two looks at the progress. */
  note: (text: string) => void
  done: () => void
}

const paintMs = 200
const lineMs = 5000
/** The time left is said by the speed of so long. */
const speedMs = 10_000

/** The sums behind what is shown. Times in milliseconds of a clock that stops with the computer. */
class Sums {
  #plan: SendingPlan = { files: 0, bytes: 0, allFiles: 0, allBytes: 0 }
  lineBytes = 0
  #contentBytes = 0
  readonly #begunMs = performance.now()
  /** Earlier sums, oldest first. */
  #earlier: { ms: number; contentBytes: number }[] = []

  get plan(): SendingPlan {
    return this.#plan
  }

  /** Nothing of a new plan was sent yet. */
  set plan(plan: SendingPlan) {
    this.#plan = plan
    this.#contentBytes = 0
    this.#earlier = []
  }

  add(lineBytes: number, contentBytes: number): void {
    this.lineBytes += lineBytes
    this.#contentBytes += contentBytes
  }

  get seconds(): number {
    return (performance.now() - this.#begunMs) / 1000
  }

  get percent(): number {
    const { bytes } = this.plan
    return Math.min(100, Math.floor((this.#contentBytes / Math.max(bytes, 1)) * 100))
  }

  /** Null: it is not known yet. */
  secondsLeft(): number | null {
    const ms = performance.now()
    this.#earlier.push({ ms, contentBytes: this.#contentBytes })
    while (ms - this.#earlier[0]!.ms > speedMs) this.#earlier.shift()
    const [from] = this.#earlier
    const speed = (this.#contentBytes - from!.contentBytes) / (ms - from!.ms)
    const leftBytes = Math.max(0, this.plan.bytes - this.#contentBytes)
    return speed > 0 ? Math.ceil(leftBytes / speed / 1000) : null
  }
}

/** For people, on stderr: in place on a terminal, else a line now and then. */
export function progressForPeople(
  say: (text: string) => void,
  note: (text: string) => void,
  isTerminal: boolean,
): SendingProgress {
  const sums = new Sums()
  const clear = isTerminal ? '\r\x1b[2K' : ''
  let paintedMs = performance.now()
  return {
    plan: (plan) => void (sums.plan = plan),
    sent(lineBytes, contentBytes) {
      sums.add(lineBytes, contentBytes)
      if (performance.now() - paintedMs < (isTerminal ? paintMs : lineMs)) return
      paintedMs = performance.now()
      const left = sums.secondsLeft()
      const text = `sending ${sums.plan.files} files: ${sums.percent} %, ${rate(sums)}${left === null ? '' : `, ${left} s left`}`
      say(isTerminal ? `${clear}${text}` : `${text}\n`)
    },
    note(text) {
      if (isTerminal) say(clear)
      note(text)
    },
    done: () => say(`${clear}${sentText(sums)}\n`),
  }
}

/** For programs: one line at the end. */
export function progressForPrograms(
  line: (facts: object) => void,
  note: (text: string) => void,
): SendingProgress {
  const sums = new Sums()
  return {
    plan: (plan) => void (sums.plan = plan),
    sent: (lineBytes, contentBytes) => sums.add(lineBytes, contentBytes),
    note,
    done() {
      const { files: sentFiles, allFiles: files, allBytes: totalBytes } = sums.plan
      line({ files, totalBytes, sentFiles, sentBytes: sums.lineBytes })
    },
  }
}

function sentText(sums: Sums): string {
  const { files, allFiles, allBytes } = sums.plan
  if (files === allFiles) return `sent ${files} files, ${rate(sums)}`
  const there = allFiles - files
  return `sent ${numbered(files)} of ${numbered(allFiles)} files, ${size(sums.lineBytes)} of ${size(allBytes)}, in ${sums.seconds.toFixed(1)} s; ${numbered(there)} ${there === 1 ? 'file was' : 'files were'} there already`
}

const rate = ({ lineBytes, seconds }: Sums) =>
  `${size(lineBytes)} in ${seconds.toFixed(1)} s (${size(lineBytes / Math.max(seconds, 0.001))}/s)`

const numbered = (count: number) => count.toLocaleString('en-US')

const size = (bytes: number) => (bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : inMb(bytes, 1))
