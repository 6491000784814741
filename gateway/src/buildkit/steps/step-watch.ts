import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { recordsOf } from '../daemon/step-limits.ts'

const pollMs = 500
/**
 * How long the record of a step is kept after its end. Every solve that waited for the step has
 * read it by then.
 */
const keepMs = 60_000

/**
 * Ends a whole step if the kernel killed one of its processes because memory ran out. With cgroup
 * v2 the kernel does this itself (`memory.oom.group`). With v1 it kills one process at a time, and
 * a step that starts new ones never ends. This class also removes the records of ended steps.
 */
export class StepWatch {
  readonly #records: string
  readonly #stopping = new AbortController()
  readonly #watching: Promise<void>

  constructor(root: string) {
    this.#records = recordsOf(root)
    this.#watching = this.#watch()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#watching
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await sleep(pollMs, undefined, { signal, ref: false }).catch(() => {})
      for (const name of await readdir(this.#records).catch(() => []))
        await lookAfter(join(this.#records, name))
    }
  }
}

async function lookAfter(record: string): Promise<void> {
  const written = await stat(record).catch(() => null)
  const group = /^group (\/.*)$/m.exec(await read(record))?.[1]
  const runs = group !== undefined && (await stat(group).catch(() => null)) !== null
  if (!runs && written && Date.now() - written.mtimeMs > keepMs) await rm(record, { force: true })
  if (runs && (await outOfMemory(group))) await endAll(group)
}

const read = (path: string) => readFile(path, 'utf8').catch(() => '')

/** Only v1 has this file. */
const outOfMemory = async (group: string) =>
  /^oom_kill [1-9]/m.test(await read(join(group, 'memory.oom_control')))

/** Kills all processes of the step. The first one is among them, and the container ends with it. */
async function endAll(group: string): Promise<void> {
  for (const pid of (await read(join(group, 'cgroup.procs'))).split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // it has ended
    }
  }
}
