import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { errorCode } from '#api/error-code.ts'
import { writeOwnFile } from '../privileged/own-file.ts'
import { endProcess, startTimeOf } from '../process.ts'
import { spawnChild } from './spawn-child.ts'

type ProgramStart = {
  command: string
  args: string[]
  /** The whole environment: nothing of the gateway's is inherited. */
  env: Record<string, string>
  /** File that records the process, so that the next gateway can find it. */
  record: string
}
export type SupervisedProcess = {
  pid: number
  /** How it ended, as text for people. */
  ended: Promise<string>
  /** Sends SIGTERM, and SIGKILL to the whole group if it still runs after `graceMs`. */
  stop(graceMs: number): Promise<void>
}

/**
 * Starts a program that runs beside the gateway and shares its stdout and stderr. When the gateway
 * dies, the program gets SIGTERM, and its group SIGKILL after 20 s (see `spawnChild`).
 */
export async function supervise({
  command,
  args,
  env,
  record,
}: ProgramStart): Promise<SupervisedProcess> {
  // Signals from the terminal do not reach the program: the gateway stops it, as its last act.
  const started = spawnChild({
    command,
    args,
    env,
    cwd: '/',
    stdin: 'ignore',
    stdio: 'inherit',
    outputs: 0,
    end: 'terminate',
  })

  const ended = started.ended.then(({ exitCode, killedBy }) => {
    started.cutLifeline() // kills what is left of its group
    rmSync(record, { force: true })
    return killedBy === null ? `exit code ${exitCode}` : `killed by ${killedBy}`
  })

  // A failure to start is thrown below.
  ended.catch(() => {})

  const { child } = started
  await Promise.race([once(child, 'spawn'), ended])
  const pid = child.pid!
  writeRecord(record, { pid, startTime: startTimeOf(pid) })
  return { pid, ended, stop: (graceMs) => stop(pid, () => ended, graceMs) }
}

/** Stops the program that an earlier gateway recorded, if pid and start time still match. */
export async function stopRecorded(record: string, graceMs: number): Promise<void> {
  const known = readRecord(record)
  const alive = () => known !== null && startTimeOf(known.pid) === known.startTime
  const ended = async () => {
    while (alive()) await sleep(50)
  }
  if (known && alive()) await stop(known.pid, ended, graceMs)
  rmSync(record, { force: true })
}

async function stop(pid: number, ended: () => Promise<unknown>, graceMs: number): Promise<void> {
  const over = ended()
  endProcess(pid, 'SIGTERM')
  const timer = setTimeout(() => endProcess(-pid), graceMs)
  await over
  clearTimeout(timer)
}

/**
 * A full disk is no error here. The program ends with the gateway even without a record, and it may
 * be the one that frees space.
 */
function writeRecord(record: string, facts: { pid: number; startTime: string | undefined }): void {
  try {
    writeOwnFile(record, JSON.stringify(facts))
  } catch (error) {
    if (errorCode(error) !== 'ENOSPC') throw error
  }
}

/** Null: no record, or one that a crash cut short before the program did anything. */
function readRecord(record: string): { pid: number; startTime: string } | null {
  try {
    const { pid, startTime }: Record<string, unknown> = JSON.parse(readFileSync(record, 'utf8'))
    return typeof pid === 'number' && typeof startTime === 'string' ? { pid, startTime } : null
  } catch {
    return null
  }
}
