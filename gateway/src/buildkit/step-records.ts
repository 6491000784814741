import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { recordsOf } from './daemon/step-limits.ts'

/** What `runc-with-limits` wrote of a step. */
export type StepRecord = {
  /** In bytes. */
  memory: number
  memoryOfAll: number
  /** Processes and threads. */
  processes: number
  /** Processes of the step that the kernel killed because memory ran out. */
  killed: number
  /** How often the step's own limit on memory was met; 0: what ran out was the memory of all steps, or the machine's. */
  atOwnLimit: number
  /** Processes and threads that were refused because the step had as many as it may. */
  forksRefused: number
  /** Why the limits could not be set; the step did not run then. */
  refused: string | null
}

const maxRecordBytes = 4096
/** The first line that a step's stderr says: which record is its own, and the key of the note on its output. */
const nameLine = /^tarmac-step ([A-Za-z0-9_.+-]{1,128})(?: ([0-9a-f-]{36}))?\n/

/** Takes the name of the step's record, and the key, off the first bytes of its stderr. */
export function takeStepName(bytes: Buffer): {
  name: string | null
  key: string | null
  rest: Buffer
} {
  const [line, name = null, key = null] = nameLine.exec(bytes.toString('latin1', 0, 200)) ?? ['']
  return { name, key, rest: bytes.subarray(line.length) }
}

/** The record of a step of the daemon with this root; null where none of its limits was reached, or none is set. */
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
    refused: facts.get('refused') ?? null,
  }
}
