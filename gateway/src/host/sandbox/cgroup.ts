import { existsSync } from 'node:fs'
import { mkdir, readFile, readdir, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { endProcess, startTimeOf } from '../process.ts'

/**
 * Where the kernel keeps control groups, and the files for limits and counters. v2 has one tree, v1
 * one tree per resource.
 */
const root = '/sys/fs/cgroup'
const v2 = {
  kind: 'cgroup v2',
  trees: [root],
  files: {
    memory: 'memory.max',
    swap: 'memory.swap.max',
    processes: 'pids.max',
    oom: 'memory.events',
  },
}
const v1 = {
  kind: 'cgroup v1',
  trees: [join(root, 'memory'), join(root, 'pids')],
  files: {
    memory: 'memory.limit_in_bytes',
    swap: 'memory.memsw.limit_in_bytes',
    processes: 'pids.max',
    oom: 'memory.oom_control',
  },
}
const version = existsSync(join(root, 'cgroup.controllers')) ? v2 : v1
const prefix = 'tarmac-sandbox'
let count = 0

type Cgroup = AsyncDisposable & {
  kind: string
  /** A process joins the group when it writes its pid into each of these files. */
  procsFiles: string[]
  /** Whether the kernel killed a process of the group because memory ran out. */
  ranOutOfMemory(): Promise<boolean>
}

/**
 * Creates a control group for one sandbox. Null when the gateway cannot (not root, or no such file
 * system).
 */
export async function openCgroup(limits: {
  memoryBytes: number
  processes: number
}): Promise<Cgroup | null> {
  const { kind, trees, files } = version
  const name = `${prefix}-${process.pid}.${startTimeOf(process.pid)}-${(count += 1)}`
  const folders = trees.map((tree) => join(tree, name))
  const memory = folders[0]!
  const processes = folders.at(-1)!

  try {
    if (count === 1) await sweep(trees)
    if (version === v2) await writeFile(join(root, 'cgroup.subtree_control'), '+memory +pids')
    for (const folder of folders) await mkdir(folder)
    await writeFile(join(memory, files.memory), `${limits.memoryBytes}`)
    await writeFile(join(processes, files.processes), `${limits.processes}`)
    // The file is absent when the kernel has no swap. v1 counts memory and swap together, v2 swap
    // alone.
    await writeFile(join(memory, files.swap), version === v2 ? '0' : `${limits.memoryBytes}`).catch(
      () => {},
    )
  } catch {
    for (const folder of folders) await rmdir(folder).catch(() => {})
    return null
  }

  return {
    kind,
    procsFiles: folders.map((folder) => join(folder, 'cgroup.procs')),
    ranOutOfMemory: async () =>
      /^oom_kill [1-9]/m.test(await readFile(join(memory, files.oom), 'utf8')),
    [Symbol.asyncDispose]: async () => {
      for (const folder of folders) await remove(folder)
    },
  }
}

/**
 * A group can be removed a moment after its last process ended. Gives up after a second: the next
 * sweep removes it.
 */
async function remove(folder: string): Promise<void> {
  for (let waitMs = 2; waitMs < 1_000; waitMs *= 2) {
    try {
      return await rmdir(folder)
    } catch {
      await sleep(waitMs)
    }
  }
}

/** Removes the groups of gateways that were killed, and kills their processes. */
async function sweep(trees: string[]): Promise<void> {
  for (const tree of trees)
    for (const name of await readdir(tree)) {
      const [, pid, startTime] = /^tarmac-sandbox-(\d+)(?:\.(\d+))?-/.exec(name) ?? []
      if (pid === undefined) continue
      const alive = startTimeOf(Number(pid))
      // Older gateways wrote no start time.
      if (alive !== undefined && (startTime === undefined || alive === startTime)) continue
      await killAll(join(tree, name))
      await remove(join(tree, name))
    }
}

/**
 * Kills every process of a group. v2 does so in one call. On v1, the next round finds processes
 * that were forked meanwhile.
 */
async function killAll(folder: string): Promise<void> {
  if (version === v2) return writeFile(join(folder, 'cgroup.kill'), '1').catch(() => {})
  for (let rounds = 0; rounds < 100; rounds++) {
    const pids = (await readFile(join(folder, 'cgroup.procs'), 'utf8').catch(() => ''))
      .split('\n')
      .filter((pid) => Number(pid) > 0)
    if (pids.length === 0) return
    for (const pid of pids) endProcess(Number(pid))
    await sleep(2)
  }
}
