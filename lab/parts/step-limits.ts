/**
 * Limits of build steps and of their output, as a gateway gives them to its own daemon, by the same
 * wrappers of runc.
 */
import { createHash } from 'node:crypto'
import { readFile, readdir, rmdir } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'

export interface Limits {
  memoryBytes: number
  memoryOfAllBytes: number
  processes: number
  cpus: number
}

const wrappers = join(import.meta.dirname, '../../gateway/src/buildkit/daemon')
export const runcWithLimits = join(wrappers, 'runc-with-limits')

/**
 * Bytes of a step's output: its beginning, its end, and the daemon's limit, with space for a last
 * piece and a note.
 */
const output = { head: 16 << 20, tail: 256 << 10, all: (16 << 20) + (512 << 10) }

/** The control group above all steps of a lab's daemon. */
export const groupOf = (dir: string) =>
  `tarmac-lab-${createHash('sha256').update(dir).digest('hex').slice(0, 8)}`

export function limitsEnvironment(
  dir: string,
  records: string,
  limits: Partial<Limits>,
): Record<string, string> {
  const {
    memoryBytes = totalmem() * 0.75,
    memoryOfAllBytes = totalmem() * 0.85,
    processes = 4096,
    cpus = availableParallelism(),
  } = limits
  return {
    TARMAC_STEPS_GROUP: groupOf(dir),
    TARMAC_STEPS_MEMORY: String(Math.floor(memoryOfAllBytes)),
    TARMAC_STEPS_PROCESSES: String(4 * processes),
    TARMAC_STEP_MEMORY: String(Math.floor(memoryBytes)),
    TARMAC_STEP_PROCESSES: String(processes),
    TARMAC_STEP_CPU_QUOTA: String(Math.floor(cpus * 100_000)),
    TARMAC_STEP_OOM_SCORE: '500',
    TARMAC_STEP_RECORDS: records,
    TARMAC_RUNC: join(wrappers, 'runc-with-output-limit'),
    TARMAC_STEP_OUTPUT_HEAD: String(output.head),
    TARMAC_STEP_OUTPUT_TAIL: String(output.tail),
    BUILDKIT_STEP_LOG_MAX_SIZE: String(output.all),
    BUILDKIT_STEP_LOG_MAX_SPEED: '-1',
  }
}

/** Removes the groups once they have no processes, wherever control groups are mounted. */
export async function removeGroups(dir: string): Promise<void> {
  const mounts = await readFile('/proc/self/mounts', 'utf8')
  for (const [, tree = ''] of mounts.matchAll(/^\S+ (\S+) cgroup2? /gm)) {
    const group = join(tree, groupOf(dir))
    const steps = await readdir(join(group, 'buildkit'), { withFileTypes: true }).catch(() => [])
    const folders = steps
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(group, 'buildkit', name))
    for (const folder of [...folders, join(group, 'buildkit'), group])
      await rmdir(folder).catch(() => undefined)
  }
}
