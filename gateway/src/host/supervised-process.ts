import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { endProcess, startTimeOf } from './process.ts'
import { spawnChild } from './spawn-child.ts'

export type ProgramStart = {
  command: string
  args: string[]
  /** The whole environment: nothing of ours is inherited. */
  env: Record<string, string>
  /** Names the process on disk, for whoever comes after us. */
  record: string
}
export type SupervisedProcess = {
  pid: number
  /** How it ended, in words. */
  ended: Promise<string>
  /** SIGTERM, and SIGKILL to its whole group when it has not ended `graceMs` later. */
  stop(graceMs: number): Promise<void>
}

/**
 * Starts a program that runs beside us. What it prints goes where ours does. When we die it gets SIGTERM, and its group
 * SIGKILL after 20 s (see `spawnChild`).
 */
export async function supervise({
  command,
  args,
  env,
  record,
}: ProgramStart): Promise<SupervisedProcess> {
  // What a terminal sends to us is not for it: we stop it, last.
  const start = {
    command,
    args,
    env,
    cwd: '/',
    stdin: 'ignore',
    words: 'inherit',
    outputs: 0,
    end: 'terminate',
  } as const
  const { child, cutLifeline } = spawnChild(start)
  const exit = once(child, 'exit') as Promise<[number | null, string | null]>
  const ended = exit.then(([code, signal]) => {
    cutLifeline() // what is left of its group goes, too
    rmSync(record, { force: true })
    return signal === null ? `exit code ${code}` : `killed by ${signal}`
  })
  ended.catch(() => {}) // it never began: said below
  await Promise.race([once(child, 'spawn'), exit])
  const pid = child.pid!
  writeRecord(record, { pid, startTime: startTimeOf(pid) })
  return { pid, ended, stop: (graceMs) => stop(pid, () => ended, graceMs) }
}

/** Stops the program that an earlier life of ours recorded, if it is certainly that one. */
export async function stopRecorded(record: string, graceMs: number): Promise<void> {
  const { pid, startTime } = readRecord(record)
  const alive = () => startTime !== undefined && startTimeOf(pid) === startTime
  const ended = async () => {
    while (alive()) await sleep(50)
  }
  if (alive()) await stop(pid, ended, graceMs)
  rmSync(record, { force: true })
}

async function stop(pid: number, ended: () => Promise<unknown>, graceMs: number): Promise<void> {
  const over = ended()
  endProcess(pid, 'SIGTERM')
  const timer = setTimeout(() => endProcess(-pid), graceMs)
  await over
  clearTimeout(timer)
}

/** On a full disk it goes unsaid: the program ends with us all the same, and it may be the one that makes room. */
function writeRecord(record: string, facts: { pid: number; startTime: string | undefined }): void {
  try {
    writeFileSync(record, JSON.stringify(facts))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}

function readRecord(record: string): { pid: number; startTime?: string } {
  try {
    return JSON.parse(readFileSync(record, 'utf8')) as { pid: number; startTime?: string }
  } catch {
    return { pid: 0 } // none, or cut short by a crash before the program did anything
  }
}
