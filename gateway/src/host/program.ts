import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export type ProgramStart = {
  command: string
  args: string[]
  /** The whole environment: nothing of ours is inherited. */
  env: Record<string, string>
  /** Names the process on disk, for whoever comes after us. */
  record: string
}
export type Program = {
  pid: number
  /** How it ended, in words. */
  ended: Promise<string>
  /** SIGTERM, and SIGKILL to its whole group when it has not ended `graceMs` later. */
  stop(graceMs: number): Promise<void>
}

/** Starts a program that runs beside us. What it prints goes where ours does; it is asked to end when we are killed. */
export async function startProgram({ command, args, env, record }: ProgramStart): Promise<Program> {
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', command, ...args], {
    env,
    detached: true, // what a terminal sends to us is not for it: we stop it, last
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const exit = once(child, 'exit') as Promise<[number | null, string | null]>
  const ended = exit.then(([code, signal]) => {
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
  signal(pid, 'SIGTERM')
  const timer = setTimeout(() => signal(-pid, 'SIGKILL'), graceMs)
  await over
  clearTimeout(timer)
}

function signal(to: number, name: NodeJS.Signals): void {
  try {
    process.kill(to, name)
  } catch {
    // it has ended
  }
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

/** A pid alone may be someone else's by now; with the time it was started at it cannot. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
