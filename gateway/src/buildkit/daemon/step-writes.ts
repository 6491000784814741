import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { tool } from '../../host/child/exec-tool.ts'
import { askPrivileged, hasPrivileged } from '../../host/privileged/ask.ts'
import { calls } from '../../host/privileged/calls.ts'
import { runningContainers, type Container } from './containers.ts'

/** A running build step, and what it has written to the daemon's disk so far. */
type StepWrites = { pid: number; command: string; bytes: number; files: number }

const maxCommandLetters = 200
/** A step that wrote less is never blamed for a full disk. */
const minimum = { bytes: 4 * 2 ** 20, files: 500 }

/**
 * Kills the step that has written most: bytes, or files if the disk runs out of inodes. Its build
 * fails as if the step had ended by itself, so the daemon frees what the step wrote. Returns null
 * if no step has written much.
 */
export async function stopLargestStep(
  daemon: { command: string; root: string },
  by: 'bytes' | 'files',
): Promise<StepWrites | null> {
  if (hasPrivileged()) return askPrivileged(calls.stopLargestStep, by)
  const [largest] = (await stepWrites(daemon)).toSorted((a, b) => b[by] - a[by])
  if (!largest || largest[by] < minimum[by]) return null
  try {
    process.kill(largest.pid, 'SIGKILL')
  } catch {
    return null // it has already ended
  }
  return largest
}

/** The running steps of a daemon on this machine. */
async function stepWrites(daemon: { command: string; root: string }): Promise<StepWrites[]> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')
  const containers = await runningContainers(daemon)
  return Promise.all(containers.map((container) => writesOf(container, daemon.root, mounts)))
}

async function writesOf(
  { pid, bundle }: Container,
  root: string,
  mounts: string[],
): Promise<StepWrites> {
  const rootfs = join(bundle, 'rootfs')
  const own = mounts.find((line) => line.split(' ')[4] === rootfs)
  const layer = /[ ,]upperdir=([^, ]+)/.exec(own ?? '')?.[1] ?? rootfs

  const inside = await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '')
  // Cache mounts are folders of the daemon, too. They may hold older files, so the step's own write
  // count is the upper limit.
  const caches = inside.split('\n').flatMap((line) => cacheMountOf(line, root) ?? [])
  const cached = await Promise.all(caches.map(sizeOf))

  const [{ bytes, files }, written] = [await sizeOf(layer), await bytesWritten(pid)]
  const sum = (what: 'bytes' | 'files') => cached.reduce((all, size) => all + size[what], 0)

  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''))
    .replaceAll('\0', ' ')
    .trim()

  return {
    pid,
    command: words.slice(0, maxCommandLetters),
    bytes: bytes + Math.min(sum('bytes'), written),
    files: files + sum('files'),
  }
}

/**
 * The daemon's folder behind a writable mount of a container, if it is one of the daemon's
 * snapshots.
 */
function cacheMountOf(line: string, root: string): string | null {
  const [, , , source = '', mountPoint = '', options = ''] = line.split(' ')
  const at = source.indexOf('/runc-')
  if (at < 0 || mountPoint === '/' || !source.endsWith('/fs') || !options.startsWith('rw'))
    return null
  return join(root, source.slice(at))
}

/** A folder that is too large to measure in time counts as infinitely large. */
async function sizeOf(folder: string): Promise<{ bytes: number; files: number }> {
  const [bytes, files] = await Promise.all([
    tool('du', '-sx', '--block-size=1', folder),
    tool('du', '-sx', '--inodes', folder),
  ])
  return {
    bytes: bytes === null ? Infinity : parseInt(bytes, 10),
    files: files === null ? Infinity : parseInt(files, 10),
  }
}

/**
 * The bytes that the running processes of a container wrote, including those of processes that they
 * waited for.
 */
async function bytesWritten(pid: number): Promise<number> {
  const namespace = await namespaceOf(pid)
  let sum = 0
  for (const id of await readdir('/proc')) {
    if (!/^\d+$/.test(id) || (await namespaceOf(id)) !== namespace) continue
    const io = await readFile(`/proc/${id}/io`, 'utf8').catch(() => '')
    sum += Number(/^write_bytes: (\d+)$/m.exec(io)?.[1] ?? 0)
  }
  return sum
}

const namespaceOf = (pid: string | number) => readlink(`/proc/${pid}/ns/pid`).catch(() => null)
