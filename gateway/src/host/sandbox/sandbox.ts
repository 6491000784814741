import { randomInt } from 'node:crypto'
import { constants } from 'node:os'
import { asUser } from '../child/as-user.ts'
import type { Child } from '../child/child.ts'
import { findTool } from '../child/find-tool.ts'
import { runChild } from '../child/run-child.ts'
import { askPrivileged, hasPrivileged } from '../privileged/ask.ts'
import { calls } from '../privileged/calls.ts'
import { openCgroup } from './cgroup.ts'

export type SandboxLimits = {
  /** From start to end. */
  timeoutMs: number
  /** For each process. */
  cpuS: number
  /** For all processes together with control groups, otherwise for each. */
  memoryBytes: number
  processes: number
  /** For stdout and stderr together. */
  maxOutputBytes: number
  /** For each result. */
  maxResultBytes: number
  /** For /tmp, and for each file in it. */
  tmpBytes: number
}
type SandboxRequest = Pick<Child, 'command' | 'args' | 'env'> & {
  /**
   * What the program may read of the host: path inside to path outside. /usr and /lib are always
   * readable.
   */
  readOnlyMounts: Record<string, string>
  /** Empty folders below /tmp that the program may write to. */
  folders: string[]
  /** Paths below /tmp of the files that the program writes and the gateway reads. */
  results: string[]
  /** Path of the network namespace to run in. Null: no network at all. */
  network: string | null
  limits: SandboxLimits
}
export type SandboxResult = {
  exitCode: number | null
  /** The signal that ended it. */
  killedBy: string | null
  stdout: string
  stderr: string
  /** In the requested order. Empty when there was no such file. */
  results: string[]
  /** The limit that it exceeded, as a phrase: `took longer than 3 s`. */
  limitExceeded: string | null
}

const bwrap = findTool('bwrap')

/** What this machine lacks for sandboxes, and how to install it. */
export const sandboxFlaw = bwrap ? null : 'bubblewrap is not installed (apt-get install bubblewrap)'

/**
 * Runs a program that reads input from outside. It runs as its own user, sees of the host only
 * `readOnlyMounts`, and writes only to a small /tmp in memory. It has no network unless one is
 * given, and limits on all resources. Its children end with it, and it ends with the gateway.
 */
export async function runInSandbox(
  request: SandboxRequest,
  signal: AbortSignal,
): Promise<SandboxResult> {
  if (hasPrivileged()) return askPrivileged(calls.sandbox, request, signal)
  if (!bwrap) throw new Error(`There are no sandboxes here: ${sandboxFlaw}.`)

  const { limits, results } = request
  await using group = process.getuid?.() === 0 ? await openCgroup(limits) : null
  const [command = '', ...args] = commandLine(request, bwrap, group?.procsFiles ?? [])
  const { timeoutMs, maxOutputBytes, maxResultBytes } = limits
  const outputs = results.map(() => maxResultBytes)
  const child = { command, args, env: request.env, cwd: '/', timeoutMs, maxOutputBytes, outputs }

  const ended = await runChild(child, signal)
  const killedBy = ended.killedBy ?? signalName((ended.exitCode ?? 0) - 128)

  return {
    exitCode: killedBy ? null : ended.exitCode,
    killedBy,
    stdout: ended.stdout,
    stderr: ended.stderr,
    results: ended.outputs,
    limitExceeded: limitExceededBy(
      { ...ended, killedBy, outOfMemory: (await group?.ranOutOfMemory()) ?? false },
      limits,
    ),
  }
}

/** How this machine enforces the limits on memory and processes, as text for people. */
export async function sandboxKind(): Promise<string> {
  if (hasPrivileged()) return askPrivileged(calls.sandboxKind, null)
  await using group =
    process.getuid?.() === 0 ? await openCgroup({ memoryBytes: 2 ** 26, processes: 1 }) : null
  return `bubblewrap, ${group?.kind ?? 'limits for each process alone (no control groups)'}`
}

/** Name of the signal with this number. A shell reports it as exit code 128 + number. */
const signalName = (number: number): string | null =>
  Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? null

type Ended = {
  timedOut: boolean
  truncated: boolean
  killedBy: string | null
  outOfMemory: boolean
}

function limitExceededBy(
  { timedOut, truncated, killedBy, outOfMemory }: Ended,
  limits: SandboxLimits,
): string | null {
  if (timedOut) return `took longer than ${limits.timeoutMs / 1000} s`
  if (truncated) {
    return `wrote more than ${limits.maxOutputBytes} bytes of output or ${limits.maxResultBytes} bytes of results`
  }
  if (outOfMemory) return `needed more than ${limits.memoryBytes / 2 ** 20} MiB of memory`
  if (killedBy === 'SIGXCPU') return `computed for more than ${limits.cpuS} s`
  if (killedBy === 'SIGXFSZ') return `wrote a file of more than ${limits.tmpBytes / 2 ** 20} MiB`
  return null
}

/**
 * From outside to inside: the groups and mounts that need root, the user, the namespaces, the
 * limits, the program.
 */
function commandLine(request: SandboxRequest, bwrap: string, procsFiles: string[]): string[] {
  const { readOnlyMounts, network, limits } = request
  const isRoot = process.getuid?.() === 0
  const shown = Object.entries(readOnlyMounts)
  // No other process has this user, so limits per user count this sandbox alone.
  const user = 1_000_000_000 + randomInt(1_000_000_000)
  const enter = network === null ? [] : ['/usr/bin/nsenter', `--net=${network}`, '--']
  const isolate = words('/usr/bin/unshare --mount --propagation private --')
  const asRoot = [
    '/bin/sh',
    '-ec',
    gather,
    'sh',
    ...procsFiles,
    '--',
    ...shown.map(([, outside]) => outside),
    '--',
  ]

  return [
    ...(isRoot ? [...enter, ...isolate, ...asRoot, ...asUser(user)] : []),
    bwrap,
    ...words(
      '--unshare-user --disable-userns --unshare-ipc --unshare-pid --unshare-uts --unshare-cgroup-try',
    ),
    ...(network === null || !isRoot ? ['--unshare-net'] : []),
    // No --new-session: bwrap leaves our group before it sets its parent-death signal, and would
    // survive if the gateway died between the two. The option is not needed: the group has no
    // terminal.
    ...words(`--die-with-parent --cap-drop ALL --hostname sandbox --uid ${nobody} --gid ${nobody}`),
    ...words('/usr /bin /sbin /lib /lib64').flatMap((path) => ['--ro-bind-try', path, path]),
    ...words(`--proc /proc --dev /dev --size ${limits.tmpBytes} --tmpfs /tmp`),
    ...request.folders.flatMap((folder) => ['--dir', folder]),
    ...shown.flatMap(([inside, outside], at) => [
      '--ro-bind',
      isRoot ? `${counter}/${at}` : outside,
      inside,
    ]),
    ...words('--remount-ro /dev --remount-ro / --chdir / --'),
    ...words(
      `/usr/bin/prlimit --cpu=${limits.cpuS}:${limits.cpuS + 5} --data=${limits.memoryBytes} --core=0`,
    ),
    ...words(`--fsize=${limits.tmpBytes} --nproc=${limits.processes} --nofile=1024 --`),
    '/bin/sh',
    '-c',
    copyResults(request.results),
    request.command,
    ...request.args,
  ]
}

const words = (text: string): string[] => text.split(' ')
const nobody = 65534

/** This folder is empty outside, so mounts on it hide nothing. */
const counter = '/run/tarmac-sandbox'

/**
 * Joins the control groups, and mounts each file and folder where the sandbox's user can reach it.
 */
const gather = `
while [ "$1" != -- ]; do echo $$ > "$1"; shift; done
shift
mkdir -p ${counter}
mount -t tmpfs -o mode=755 tmpfs ${counter}
at=0
while [ "$1" != -- ]; do
  if [ -d "$1" ]; then mkdir "${counter}/$at"; else : > "${counter}/$at"; fi
  mount --bind "$1" "${counter}/$at"
  at=$((at + 1))
  shift
done
shift
exec "$@"
`

/**
 * The results leave through pipes, so that nothing in the sandbox can write to the gateway's disk.
 */
function copyResults(results: string[]): string {
  const closed = results.map((_, at) => `${at + 3}>&-`).join(' ')
  const copied = results.map((path, at) => `[ ! -e ${path} ] || cat ${path} >&${at + 3}`)
  return [`"$0" "$@" ${closed}`, 'code=$?', ...copied, 'exit $code'].join('\n')
}
