import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { recordsOf } from './step-limits.ts'

const lookMs = 500

/**
 * Ends a step as a whole when the kernel killed one of its processes because memory ran out. With cgroup v2 the kernel
 * does so itself (`memory.oom.group`); with v1 it kills one process after the other, and a step that starts new ones
 * never ends.
 */
export class StepWatch {
  readonly #root: string
  readonly #stopping = new AbortController()
  readonly #watching: Promise<void>

  constructor(root: string) {
    this.#root = root
    this.#watching = this.#watch()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#watching
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await sleep(lookMs, undefined, { signal, ref: false }).catch(() => {})
      for (const name of await readdir(recordsOf(this.#root)).catch(() => [])) {
        const group = await watchedGroup(join(recordsOf(this.#root), name))
        if (group !== null && (await outOfMemory(group))) await endAll(group)
      }
    }
  }
}

const read = (path: string) => readFile(path, 'utf8').catch(() => '')

/** The step's group in the tree for memory of cgroup v1; null for v2. */
async function watchedGroup(record: string): Promise<string | null> {
  return /^watch (\/.*)$/m.exec(await read(record))?.[1] ?? null
}

const outOfMemory = async (group: string) => /^oom_kill [1-9]/m.test(await read(join(group, 'memory.oom_control')))

/** The first process of a step is among them, and none of its container outlives that one. */
async function endAll(group: string): Promise<void> {
  for (const pid of (await read(join(group, 'cgroup.procs'))).split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // it has ended
    }
  }
}
