import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import type { LogLine } from '#fly/answers.ts'
import { bornAt, type Machine } from '#fly/machine.ts'
import { pause } from '#api/flow/retry.ts'
import { newLines } from '#api/text/new-lines.ts'
import type { Execution } from '../execution.ts'
import type { MachineStep } from '../progress.ts'

/** How many of a program's last lines a failure shows. */
export const lastLinesShown = 50
const maxLineLetters = 1000
/** A record keeps no more of a problem's facts; see `size-limits.ts`. */
const maxLastBytes = 32 * 1024
/** More than are shown, because some are Fly's own. */
const askedLines = 200
const askMs = 5000
const againMs = 1000

/**
 * Fly's init prints this before it starts the program. Source: logs in public bug reports, such as
 * "app[908027d3be7938] dfw [info] INFO Starting init (commit: a1a45272)...".
 */
const bootLine = /^\s*(?:INFO )?Starting init \(commit: /
/** Other lines of Fly's own about a start, from the same logs. Its errors are kept. */
const flysOwn =
  /^\s*(?:(?:INFO|WARN) (?:Preparing to run: |\[fly api proxy\]|Main child exited |Sending signal |Starting clean up|Umounting |could not unmount |Mounting |Resized |Checking filesystem )|Pulling container image |Successfully prepared image |Configuring firecracker|Machine (?:created and )?started in |\[ *\d+\.\d+\] |\d{4}\/\d\d\/\d\d \S+ INFO SSH listening )|Running Firecracker v\d/

/**
 * The lines of the machine's current version. Leaves out those of an earlier version, also what it
 * printed while it stopped, and Fly's own.
 */
export const linesOfVersion = (log: LogLine[], machine: Machine): string[] =>
  logOfVersion(log, machine).map(({ text }) => text)

/** The same lines with their times. */
export function logOfVersion(log: LogLine[], machine: Machine): LogLine[] {
  const born = bornAt(machine)
  const since = log.filter(({ at }) => at === null || born === null || at >= born)
  const boot = since.findIndex(({ text }) => bootLine.test(text))
  return since
    .slice(boot + 1)
    .filter(({ text }) => !bootLine.test(text) && !flysOwn.test(text))
    .map(({ at, text }) => ({ at, text: text.slice(0, maxLineLetters) }))
}

/** In JSON, with a comma. */
const sizeOf = (line: string) => Buffer.byteLength(JSON.stringify(line)) + 1

/** The end of a program's output, within the limits of a problem. */
export function lastOf(lines: string[]): string[] {
  const last = lines.slice(-lastLinesShown)
  let sizeBytes = last.reduce((sum, line) => sum + sizeOf(line), 0)
  while (sizeBytes > maxLastBytes) sizeBytes -= sizeOf(last.shift() ?? '')
  return last
}

/** The step under which the log has the output. */
function logStepOf({ role, machine, name, group, check = 0 }: MachineStep): string {
  if (role === 'releaseCommand') return 'release_command'
  if (role === 'machineCheck') return `machine_check ${group} ${check + 1}`
  return `machine ${machine ?? name}`
}

const outputs = new WeakMap<MachineStep, ProgramOutput>()

/** The output of a step's machine. It remembers what was shown. */
export function outputOf(execution: Execution, step: MachineStep): ProgramOutput {
  const output = outputs.get(step) ?? new ProgramOutput(execution, step)
  outputs.set(step, output)
  return output
}

/** The output of one machine's programs, as far as it was shown. */
export class ProgramOutput {
  readonly #execution: Execution
  readonly #step: MachineStep
  #shown: string[] = []

  constructor(execution: Execution, step: MachineStep) {
    this.#execution = execution
    this.#step = step
  }

  /**
   * Reads the last `count` lines of the machine, and returns those of its version. Throws as the
   * Machines API does.
   */
  async read(machine: Machine, count = askedLines): Promise<string[]> {
    const { settings, stopping } = this.#execution
    const signal = AbortSignal.any([stopping, AbortSignal.timeout(askMs)])
    const log = await settings.fly.machineLog(this.#execution.refOf(this.#step), count, signal)
    return linesOfVersion(log, machine)
  }

  /** Emits the lines that were not shown yet. */
  show(lines: string[]): void {
    const text = newLines(this.#shown, lines).join('\n')
    this.#shown = lines
    const step = logStepOf(this.#step)
    if (text !== '') this.#execution.job.emit({ type: 'log', step, stream: 'stdout', text })
  }

  /**
   * The output of a program that failed. Lines may arrive late: waits for the first one, and until
   * no more come, for at most `waitMs`. A text: why the output cannot be read.
   */
  async readToEnd(
    machine: Machine,
    { waitMs, count = askedLines }: { waitMs: number; count?: number },
  ): Promise<string[] | string> {
    let before: string[] = []
    try {
      for (const deadline = performance.now() + waitMs; ; await this.#pause(waitMs)) {
        const lines = await this.read(machine, count)
        const isComplete = lines.length > 0 && lines.length === before.length
        if (isComplete || performance.now() >= deadline) return lines
        before = lines
      }
    } catch (error) {
      this.#execution.stopping.throwIfAborted()
      if (before.length > 0) return before
      const isDenied = error instanceof Problem && error.code === 'fly-denied'
      return isDenied
        ? "Fly does not let the gateway's token read logs (deploy tokens may not)"
        : `the log could not be read (${errorMessage(error)})`
    }
  }

  #pause(waitMs: number): Promise<void> {
    return pause(Math.min(againMs, waitMs), this.#execution.stopping)
  }
}
