import { readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, rmdir } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { machineSize, type MachineSize } from '../../settings/machine-size.ts'

/** An amount of memory, as a share of this machine's memory or in bytes. */
export type Share = { share: number } | { bytes: number }
export type StepLimits = {
  /** Memory for one step. */
  memory: Share
  /** Memory for all steps together. */
  memoryOfAll: Share
  /** Processes and threads for one step. */
  processes: number
  /** CPUs for one step. 0: all CPUs of this machine. */
  cpus: number
}

/** The script that runs between the daemon and runc. */
export const runcWithLimits = join(import.meta.dirname, 'runc-with-limits')
/** The folder in which the script keeps a record of each step, below the daemon's root. */
export const recordsOf = (root: string) => join(root, 'steps')

/** runc cannot start with less memory. */
const leastBytes = 64 * 2 ** 20
const cpuPeriodMicros = 100_000
/**
 * The kernel rates a step as if it used half of the machine's memory more. So it kills steps before
 * other processes.
 */
const oomScore = 500
const maxOomScore = 1000

/** The control group above all steps of a daemon, relative to the root of each cgroup tree. */
export const groupOf = (root: string) =>
  `tarmac-steps-${createHash('sha256').update(root).digest('hex').slice(0, 8)}`

/** What the limits are on a machine of this size: bytes of memory, and CPUs. */
export function stepLimitsOn(
  { memoryBytes, cpus }: MachineSize,
  limits: Pick<StepLimits, 'memory' | 'memoryOfAll' | 'cpus'>,
) {
  const bytes = (share: Share) =>
    Math.max(leastBytes, Math.floor('bytes' in share ? share.bytes : share.share * memoryBytes))
  const ofAll = bytes(limits.memoryOfAll)
  return { memory: Math.min(bytes(limits.memory), ofAll), ofAll, cpus: limits.cpus || cpus }
}

/** The limits as environment variables of the daemon, for `runc-with-limits`. */
export function limitsEnvironment(limits: StepLimits, root: string): Record<string, string> {
  const { memory, ofAll, cpus } = stepLimitsOn(machineSize(), limits)
  const own = Number(readFileSync('/proc/self/oom_score_adj', 'utf8'))

  return {
    TARMAC_STEPS_GROUP: groupOf(root),
    TARMAC_STEPS_MEMORY: String(ofAll),
    TARMAC_STEPS_PROCESSES: String(
      Math.floor(0.75 * Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8'))),
    ),
    TARMAC_STEP_MEMORY: String(memory),
    TARMAC_STEP_PROCESSES: String(limits.processes),
    TARMAC_STEP_CPU_QUOTA: String(Math.floor(cpus * cpuPeriodMicros)),
    TARMAC_STEP_OOM_SCORE: String(Math.min(maxOomScore, own + oomScore)),
    TARMAC_STEP_RECORDS: recordsOf(root),
  }
}

/** Removes what an earlier daemon with this root left: records, and groups without processes. */
export async function sweepSteps(root: string): Promise<void> {
  const records = recordsOf(root)
  // Keep the folder: a full disk has no space for a new one. If it is missing, steps run without
  // records.
  await mkdir(records, { recursive: true }).catch(() => {})
  for (const name of await readdir(records).catch(() => []))
    await rm(join(records, name), { recursive: true, force: true })
  await removeGroups(root)
}

/**
 * runc removes the groups of steps in every tree. The gateway must remove the groups above them.
 */
export async function removeGroups(root: string): Promise<void> {
  for (const tree of await cgroupTrees()) {
    const group = join(tree, groupOf(root))
    const steps = await readdir(join(group, 'buildkit'), { withFileTypes: true }).catch(() => [])
    const folders = steps
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(group, 'buildkit', name))
    for (const folder of [...folders, join(group, 'buildkit'), group])
      await rmdir(folder).catch(() => {})
  }
}

/** All mount points of control groups, of both versions. */
async function cgroupTrees(): Promise<string[]> {
  const mounts = await readFile('/proc/self/mounts', 'utf8')
  return [...mounts.matchAll(/^\S+ (\S+) cgroup2? /gm)].map(([, folder]) => folder!)
}
