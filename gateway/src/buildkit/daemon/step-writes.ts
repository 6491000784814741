import { readdir, readFile, readlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { tool } from '../../host/exec-tool.ts'

/** A build step that runs now, and what it has put on the daemon's disk so far. */
export type StepWrites = { pid: number; command: string; bytes: number; files: number }
type Container = { id: string; pid: number; status: string; bundle: string }

const maxCommandLetters = 200
/** A step must have written so much before it is taken for the one that fills the disk. */
const least = { bytes: 4 * 2 ** 20, files: 500 }

/**
 * Ends the step that has written most: bytes, or files where the disk has too few of these left. Its build fails as if
 * the step had ended by itself, so the daemon gives back what the step wrote. Null: no step has written much.
 */
export async function stopLargestStep(
  daemon: { command: string; root: string },
  by: 'bytes' | 'files',
): Promise<StepWrites | null> {
  const [largest] = (await stepWrites(daemon)).toSorted((a, b) => b[by] - a[by])
  if (!largest || largest[by] < least[by]) return null
  try {
    process.kill(largest.pid, 'SIGKILL')
  } catch {
    return null // it has ended by itself
  }
  return largest
}

/** The steps of a daemon on this machine. */
export async function stepWrites({
  command,
  root,
}: {
  command: string
  root: string
}): Promise<StepWrites[]> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')
  const containers = (await containersOf(command)).filter(
    ({ bundle, status }) => status === 'running' && bundle.startsWith(`${root}/`),
  )
  return Promise.all(containers.map((container) => writesOf(container, root, mounts)))
}

async function containersOf(command: string): Promise<Container[]> {
  for (const runc of [join(dirname(command), 'buildkit-runc'), 'runc']) {
    const listed = await tool(runc, 'list', '--format', 'json')
    if (listed !== null) return (JSON.parse(listed) as Container[] | null) ?? []
  }
  return []
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
  // Cache mounts are folders of the daemon's too. What was in them before is not this step's: its own count says so.
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

/** The daemon's folder behind a mount of a container that may be written, where it is one of the daemon's snapshots. */
function cacheMountOf(line: string, root: string): string | null {
  const [, , , source = '', place = '', options = ''] = line.split(' ')
  const at = source.indexOf('/runc-')
  if (at < 0 || place === '/' || !source.endsWith('/fs') || !options.startsWith('rw')) return null
  return join(root, source.slice(at))
}

/** A folder too large to be measured in time is the largest. */
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

/** By all processes of a container, also those that have ended. */
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
