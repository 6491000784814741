import type { ProblemCode } from '#api/problem/codes.ts'
import type { StepRecord } from './step-records.ts'

export type Verdict = { code: ProblemCode; detail: string; facts?: Record<string, unknown> }

type Ended = {
  /** The name of the step. */
  step: string
  exitCode: number
  /** The daemon's message without quoted text. */
  words: string
  record: StepRecord | null
}

const killedExitCode = 137
/** What a shell says by these codes. */
const meanings: Record<number, string> = {
  126: ' (a shell’s code for a file that it cannot execute)',
  127: ' (a shell’s code for a command that was not found)',
}

/** Explains why a step that ran ended with an exit code, and which of its limits it reached. */
export function exitVerdict({ step, exitCode, words, record }: Ended): Verdict {
  if (record?.refused) {
    const detail = `The limits of the step “${step}” could not be set (${record.refused}). Try again. If this happens again, the operator of the gateway must check the control groups of its machine.`
    return { code: 'buildkit-unavailable', detail }
  }
  const meaning = meanings[exitCode] ?? ''
  const why =
    exitCode === killedExitCode
      ? 'it was killed (SIGKILL)'
      : `it ended with exit code ${exitCode}${meaning}`
  const limit = limitMet(words, record, exitCode)
  return {
    code: 'build-failed',
    detail: `The step “${step}” failed: ${why}.${limit.words}`,
    facts: { exitCode, ...limit.facts },
  }
}

const lessMemory =
  'Let the step use less (fewer workers, a smaller heap). Or give the gateway more memory, or its build steps more of it (TARMAC_STEP_MEMORY).'

function limitMet(
  message: string,
  record: StepRecord | null,
  exitCode: number,
): { words: string; facts?: Record<string, unknown> } {
  if (record && record.killed > 0) {
    const own = record.atOwnLimit > 0
    const memoryLimitBytes = own ? record.memory : record.memoryOfAll
    const what = own
      ? `the step used more than ${sizeOf(record.memory)} of memory`
      : `all build steps together used more than ${sizeOf(record.memoryOfAll)} of memory, or the machine had none left`
    // Another exit code than that of a killed process: the step went on without the killed one.
    const victim =
      exitCode === killedExitCode ? 'The kernel ended it' : 'The kernel ended a process of it'
    return {
      words: ` ${victim}: ${what}. ${lessMemory}`,
      facts: { outOfMemory: true, memoryLimitBytes },
    }
  }
  // The daemon says this only after an OOM kill in the control group of this very step
  // (moby/buildkit executor/runcexecutor/executor_linux.go, `detectOOM`).
  if (/" did not complete successfully: cannot allocate memory/.test(message))
    return {
      words: ` The kernel ended it because memory ran out. ${lessMemory}`,
      facts: { outOfMemory: true },
    }
  if (record && record.forksRefused > 0) {
    const words = ` The kernel refused it new processes: the step may have ${record.processes} processes and threads at once. Let it start fewer, or give steps more of them (TARMAC_STEP_PROCESSES).`
    return { words, facts: { processLimit: record.processes } }
  }
  return { words: '' }
}

/** A size for people: whole GiB or MiB. */
function sizeOf(bytes: number): string {
  const [unit, name] = bytes % 2 ** 30 === 0 ? [2 ** 30, 'GiB'] : [2 ** 20, 'MiB']
  return `${Math.floor(bytes / unit)} ${name}`
}
