/**
 * A program of the lab. Its output goes to a log. A record on disk lets a later start end the
 * leftovers of a crash.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  openSync,
  closeSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isFree } from './ports.ts'

const stopMs = 15_000

export interface ProcessOptions {
  /** Names the log and the record of the process. */
  name: string
  /** The lab's folder: `<name>.log` and `run/<name>.json` go here. */
  dir: string
  command: string[]
  env?: NodeJS.ProcessEnv
  cwd?: string
  /**
   * The loopback port that it will listen on. It must be free, since an answer there must come from
   * this program.
   */
  port?: number
  /** Resolves true when the program is ready. It is asked repeatedly until then. */
  isReady: () => Promise<boolean>
  readyMs: number
}

export interface LabProcess extends AsyncDisposable {
  pid: number
  log: string
  kill(signal: NodeJS.Signals): void
  exited: Promise<void>
}

/**
 * Starts a program and waits until it is ready. Disposing it sends SIGTERM, and later SIGKILL to
 * its whole group.
 */
export async function startProcess(options: ProcessOptions): Promise<LabProcess> {
  const { name, dir, port } = options
  if (port !== undefined && !(await isFree(port)))
    throw new Error(`Port ${port}, wanted by ${name}, is taken.`)
  const log = join(dir, `${name}.log`)
  mkdirSync(join(dir, 'run'), { recursive: true })
  const output = openSync(log, 'a')
  // Its own group, so that Ctrl-C reaches only the lab, which stops its parts in order. It gets
  // SIGTERM if the lab itself is killed.
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', ...options.command], {
    detached: true,
    stdio: ['ignore', output, output],
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
  })
  closeSync(output)
  const exited = once(child, 'exit').then(() => child.pid && killGroup(child.pid)) as Promise<void>
  await Promise.race([once(child, 'spawn'), exited])
  const pid = child.pid
  if (pid === undefined)
    throw new Error(`${name} could not be started: ${options.command.join(' ')}`)
  const record = recordPath(dir, name)
  writeFileSync(record, JSON.stringify({ pid, startTime: startTime(pid) }))

  const running: LabProcess = {
    pid,
    log,
    exited,
    kill: (signal) => void child.kill(signal),
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      const stopped = await Promise.race([
        exited.then(() => true),
        sleep(stopMs, false, { ref: false }),
      ])
      if (!stopped) killGroup(pid)
      await exited
      rmSync(record, { force: true })
    },
  }
  await ready(running, options)
  return running
}

/**
 * Ends the processes that an earlier lab left running in this folder, but only when each is
 * certainly the recorded one.
 */
export function killRecorded(dir: string, name?: string): void {
  const run = join(dir, 'run')
  for (const file of existsSync(run) ? readdirSync(run) : []) {
    if (name !== undefined && file !== `${name}.json`) continue
    const pid = alive(join(run, file))
    if (pid !== undefined) killGroup(pid)
    rmSync(join(run, file))
  }
}

/**
 * Claims the folder for this process until it is disposed. Refuses while another living process
 * holds it.
 */
export function claimFolder(dir: string): Disposable {
  const record = join(dir, 'owner.json')
  const owner = alive(record)
  if (owner !== undefined)
    throw new Error(
      `A lab runs in ${dir} already (process ${owner}): stop it or choose another folder.`,
    )
  writeFileSync(record, JSON.stringify({ pid: process.pid, startTime: startTime(process.pid) }))
  return { [Symbol.dispose]: () => rmSync(record, { force: true }) }
}

async function ready(
  running: LabProcess,
  { name, isReady, readyMs }: ProcessOptions,
): Promise<void> {
  let ended = false
  void running.exited.then(() => (ended = true))
  const deadline = Date.now() + readyMs
  while (!(await isReady())) {
    if (ended || Date.now() > deadline) {
      await running[Symbol.asyncDispose]()
      const last = readFileSync(running.log, 'utf8').trim().split('\n').slice(-10).join('\n')
      throw new Error(
        `${name} ${ended ? 'ended' : `was not ready within ${readyMs / 1000} s`} (${running.log}):\n${last}`,
      )
    }
    await sleep(50)
  }
}

/** The recorded pid, when that very process still runs. */
function alive(record: string): number | undefined {
  if (!existsSync(record)) return undefined
  const { pid, startTime: started } = JSON.parse(readFileSync(record, 'utf8')) as {
    pid: number
    startTime?: string
  }
  return started !== undefined && startTime(pid) === started ? pid : undefined
}

function recordPath(dir: string, name: string): string {
  return join(dir, 'run', `${name}.json`)
}

/** A pid may belong to another process by now. A pid with its start time cannot. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Already gone.
  }
}
