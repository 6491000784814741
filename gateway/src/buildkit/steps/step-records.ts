import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { recordsOf } from '../daemon/step-limits.ts'

/** The record that `runc-with-limits` wrote for a step. */
export type StepRecord = {
  /** In bytes. */
  memory: number
  memoryOfAll: number
  /** The limit on processes and threads. */
  processes: number
  /** How many of the step's processes the kernel killed because memory ran out. */
  killed: number
  /**
   * How often the step reached its own memory limit. 0: all steps together, or the machine, ran out
   * of memory.
   */
  atOwnLimit: number
  /** How many processes and threads the kernel refused because the step had as many as allowed. */
  forksRefused: number
  /** The most memory that it had at once, in bytes, and its CPU time. Null: not known, or it still runs. */
  peakMemoryBytes: number | null
  cpuMs: number | null
  /** Why the limits could not be set. In that case the step did not run. */
  refused: string | null
}

const maxRecordBytes = 4096
/**
 * The first line of a step's stderr: the name of its record, and the key of the marks in its
 * output.
 */
const nameLine = /^tarmac-step ([A-Za-z0-9_.+-]{1,128})(?: ([0-9a-f-]{36}))?\n/

/** Splits the name of the step's record and the key off the first bytes of its stderr. */
export function takeStepName(bytes: Buffer): {
  name: string | null
  key: string | null
  rest: Buffer
} {
  const [line, name = null, key = null] = nameLine.exec(bytes.toString('latin1', 0, 200)) ?? ['']
  return { name, key, rest: bytes.subarray(line.length) }
}

/**
 * Reads the record of a step of the daemon with this root. Null if there is none.
 */
export function readStepRecord(root: string, name: string): StepRecord | null {
  let text: string
  try {
    text = readFileSync(join(recordsOf(root), name), 'latin1').slice(0, maxRecordBytes)
  } catch {
    return null
  }

  const facts = new Map(
    text.split('\n').map((line) => [line.split(' ', 1)[0]!, line.slice(line.indexOf(' ') + 1)]),
  )
  const number = (fact: string) => Number(facts.get(fact) ?? 0)

  return {
    memory: number('memory'),
    memoryOfAll: number('memory_of_all'),
    processes: number('processes'),
    killed: number('killed'),
    atOwnLimit: number('at_own_limit'),
    forksRefused: number('forks_refused'),
    peakMemoryBytes: facts.has('peak_memory') ? number('peak_memory') : null,
    cpuMs: facts.has('cpu_ms') ? number('cpu_ms') : null,
    refused: facts.get('refused') ?? null,
  }
}
