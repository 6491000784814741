import { readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, rmdir } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { createHash } from 'node:crypto'
import { join } from 'node:path'

/** A part of this machine's memory. */
export type Share = { share: number } | { bytes: number }
export type StepLimits = {
  /** What one step may use. */
  memory: Share
  /** What all steps together may use. */
  memoryOfAll: Share
  /** Processes and threads of one step. */
  processes: number
  /** CPUs of one step; 0: all of this machine. */
  cpus: number
}

/** Stands between the daemon and runc. */
export const runcWithLimits = join(import.meta.dirname, 'runc-with-limits')
/** Where it keeps a record of each step, below the daemon's root. */
export const recordsOf = (root: string) => join(root, 'steps')

/** With less, not even runc starts. */
const leastBytes = 64 * 2 ** 20
const cpuPeriodMicros = 100_000
/** The kernel ends a step sooner than a process outside that uses half of the machine's memory more. */
const oomScore = 500
const maxOomScore = 1000

/** The control group above all steps of a daemon, below the root of each tree. */
export const groupOf = (root: string) =>
  `tarmac-steps-${createHash('sha256').update(root).digest('hex').slice(0, 8)}`

/** The limits as `runc-with-limits` takes them, by the daemon's environment. */
export function limitsEnvironment(limits: StepLimits, root: string): Record<string, string> {
  const machineBytes = Math.min(totalmem(), process.constrainedMemory() || Infinity)
  const bytes = (share: Share) =>
    Math.max(leastBytes, Math.floor('bytes' in share ? share.bytes : share.share * machineBytes))
  const all = bytes(limits.memoryOfAll)
  const quota = (limits.cpus || availableParallelism()) * cpuPeriodMicros
  const own = Number(readFileSync('/proc/self/oom_score_adj', 'utf8'))
  return {
    TARMAC_STEPS_GROUP: groupOf(root),
    TARMAC_STEPS_MEMORY: String(all),
    TARMAC_STEPS_PROCESSES: String(
      Math.floor(0.75 * Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8'))),
    ),
    TARMAC_STEP_MEMORY: String(Math.min(bytes(limits.memory), all)),
    TARMAC_STEP_PROCESSES: String(limits.processes),
    TARMAC_STEP_CPU_QUOTA: String(Math.floor(quota)),
    TARMAC_STEP_OOM_SCORE: String(Math.min(maxOomScore, own + oomScore)),
    TARMAC_STEP_RECORDS: recordsOf(root),
  }
}

/** Removes what an earlier daemon of this root left: records, and groups without a process. */
export async function sweepSteps(root: string): Promise<void> {
  const records = recordsOf(root)
  // The folder stays: a full disk has no room for another. There it may be missing too; steps run without records.
  await mkdir(records, { recursive: true }).catch(() => {})
  for (const name of await readdir(records).catch(() => []))
    await rm(join(records, name), { recursive: true, force: true })
  await removeGroups(root)
}

/** runc removes the groups of steps, in every tree; those above them are ours to remove. */
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

/** Every place at which control groups are mounted, of either version. */
async function cgroupTrees(): Promise<string[]> {
  const mounts = await readFile('/proc/self/mounts', 'utf8')
  return [...mounts.matchAll(/^\S+ (\S+) cgroup2? /gm)].map(([, folder]) => folder!)
}
