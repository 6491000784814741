import { type ChildProcess, spawn } from 'node:child_process'
import { Readable } from 'node:stream'
import { usualPriority } from '../priority.ts'

type ChildStart = {
  /** Absolute path: there is no PATH lookup. */
  command: string
  args: string[]
  /** The whole environment: nothing of the gateway's is inherited. */
  env: Record<string, string>
  cwd: string
  stdin: 'ignore' | 'pipe'
  /** Where stdout and stderr go. */
  stdio: 'pipe' | 'inherit'
  /** Number of further outputs, file descriptor 3 and up; at most 6. */
  outputs: number
  /**
   * What the child's group gets when the gateway dies: SIGKILL at once, or SIGTERM and 20 s later
   * SIGKILL.
   */
  end: 'kill' | 'terminate'
}

type ChildEnd = { exitCode: number | null; killedBy: string | null }
type StartedChild = {
  child: ChildProcess
  /** The further outputs, in the order of their file descriptors. */
  outputs: Readable[]
  ended: Promise<ChildEnd>
  cutLifeline: () => void
}

/** The lifeline's file descriptor in the child. Outputs have smaller ones. */
const lifelineNumber = 9
const firstOutput = 3

/**
 * Starts a program that ends when the gateway ends, however that happens. The gateway alone holds
 * one end of a pipe, the lifeline. The child starts as a shell that forks a watcher and then
 * becomes the program. The watcher waits for the end of the lifeline, and then kills the process
 * group. A gateway that dies before the watcher runs has closed its end already, so no moment is
 * missed. (The kernel's own parent-death signal is never sent when the parent died before the child
 * asked for it. It is also lost when the child changes its user: prctl(2), PR_SET_PDEATHSIG.)
 *
 * The child leads its own session and group. Processes that must end with it stay in that group.
 */
export function spawnChild(start: ChildStart): StartedChild {
  const { command, args, env, cwd, stdin, stdio, outputs, end } = start
  const room = lifelineNumber - firstOutput
  if (outputs > room) throw new Error(`A child has at most ${room} further outputs.`)

  const child = spawn(
    '/bin/sh',
    ['-c', script[end], 'lifeline', ...usualPriority(), command, ...args],
    {
      env,
      cwd,
      detached: true, // its own session and group
      stdio: [
        stdin,
        stdio,
        stdio,
        ...Array.from({ length: room }, (_, at) =>
          at < outputs ? ('pipe' as const) : ('ignore' as const),
        ),
        'pipe',
      ],
    },
  )
  const lifeline = child.stdio.at(lifelineNumber)
  lifeline?.on('error', () => {}) // the watcher has ended
  if (lifeline instanceof Readable) lifeline.resume()

  return {
    child,
    outputs: child.stdio
      .slice(firstOutput, firstOutput + outputs)
      .filter((stream) => stream instanceof Readable),
    ended: endOf(child),
    cutLifeline: () => lifeline?.destroy(),
  }
}

/** Rejects if the child could not start. */
function endOf(child: ChildProcess): Promise<ChildEnd> {
  const ended = new Promise<ChildEnd>((resolve, reject) => {
    child.once('exit', (exitCode, killedBy) => resolve({ exitCode, killedBy }))
    child.once('error', reject)
  })
  ended.catch(() => {}) // the caller may look at it later
  return ended
}

/**
 * The watcher keeps none of the child's outputs open: readers of the outputs must see their end.
 */
const closeAll = 'exec </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&-'
const killGroup = 'kill -s KILL -- -$$'
/** Stops waiting when the process is a zombie: on some machines, pid 1 does not reap zombies. */
const terminate = `
kill -s TERM $$
tenths=0
while [ $tenths -lt 200 ] && read -r stat < /proc/$$/stat; do
  case $stat in *') Z '*) break ;; esac
  /bin/sleep 0.1
  tenths=$((tenths + 1))
done
${killGroup}`

/** `unset PWD`: the shell adds PWD to the environment that it was given. */
const watched = (atEnd: string) =>
  `(${closeAll}; read -r _ <&9; ${atEnd}) & unset PWD; exec "$@" 9<&-`
const script = { kill: watched(killGroup), terminate: watched(terminate) }
