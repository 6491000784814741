import { type ChildProcess, spawn } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { usualPriority } from './priority.ts'

export type ChildStart = {
  /** Absolute path: nothing is looked up. */
  command: string
  args: string[]
  /** The whole environment: nothing of ours is inherited. */
  env: Record<string, string>
  cwd: string
  stdin: 'ignore' | 'pipe'
  /** Of stdout and stderr. */
  words: 'pipe' | 'inherit'
  /** Further outputs, from number 3 on; at most 6. */
  outputs: number
  /** What the child's group gets when the gateway dies: SIGKILL at once, or SIGTERM first and SIGKILL after 20 s. */
  end: 'kill' | 'terminate'
}

/** The number of the lifeline in the child; outputs have smaller ones. */
const lifelineNumber = 9
const firstOutput = 3

/**
 * Starts a program that ends when the gateway ends, whenever and however that is. The gateway alone holds one end of a
 * pipe, the lifeline. The child begins as a shell that forks a watcher and then becomes the program. The watcher waits
 * for the end of the lifeline, and then kills the process group. A gateway that dies before the watcher is there has
 * closed its end already, so no moment is missed. (The kernel's own parent-death signal is never sent when the parent
 * died before it was asked for, and is lost when the child changes its user: prctl(2), PR_SET_PDEATHSIG.)
 *
 * The child leads a session and a group of its own. What must end with it stays in that group.
 */
export function spawnChild(start: ChildStart): { child: ChildProcess; cutLifeline: () => void } {
  const { command, args, env, cwd, stdin, words, outputs, end } = start
  const room = lifelineNumber - firstOutput
  if (outputs > room) throw new Error(`A child has at most ${room} further outputs.`)
  const child = spawn(
    '/bin/sh',
    ['-c', script[end], 'lifeline', ...usualPriority(), command, ...args],
    {
      env,
      cwd,
      detached: true, // a session and a group of its own
      stdio: [
        stdin,
        words,
        words,
        ...Array.from({ length: room }, (_, at) =>
          at < outputs ? ('pipe' as const) : ('ignore' as const),
        ),
        'pipe',
      ],
    },
  )
  const lifeline = child.stdio[lifelineNumber as 3] as Duplex | undefined
  lifeline?.on('error', () => {}) // the watcher has ended
  lifeline?.resume()
  return { child, cutLifeline: () => lifeline?.destroy() }
}

/** The watcher holds nothing of the child's open: whoever reads the child's outputs must see their end. */
const closeAll = 'exec </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&-'
const killGroup = 'kill -s KILL -- -$$'
/** A zombie has ended: not every machine's first process takes them away. */
const terminate = `
kill -s TERM $$
tenths=0
while [ $tenths -lt 200 ] && read -r stat < /proc/$$/stat; do
  case $stat in *') Z '*) break ;; esac
  /bin/sleep 0.1
  tenths=$((tenths + 1))
done
${killGroup}`

/** A shell adds PWD to what it was given. */
const watched = (atEnd: string) =>
  `(${closeAll}; read -r _ <&9; ${atEnd}) & unset PWD; exec "$@" 9<&-`
const script = { kill: watched(killGroup), terminate: watched(terminate) }
