import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** What was not used for so long is removed. */
const maxAgeMs = 30 * 24 * 60 * 60_000
/** Size of all files of the folder. The oldest are removed first. */
const maxBytes = 128 * 2 ** 20

/** The first line of a file is this of the rest: what is read is what was written. */
const digestOf = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex')

type Env = Record<string, string | undefined>

/**
 * Small files that make sending faster: `$XDG_CACHE_HOME/tarmac/sources`. Only this user can read
 * them. Everything in it may be deleted at any time, and nothing fails when it cannot be written.
 */
export class CacheFolder {
  readonly #folder: string

  constructor(env: Env) {
    const caches = env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache')
    this.#folder = join(caches, 'tarmac', 'sources')
  }

  /** The JSON of the file for this key. Undefined: there is none, or it is damaged. */
  async read(key: readonly string[]): Promise<unknown> {
    const file = this.#fileOf(key)
    try {
      const bytes = await readFile(file)
      const text = bytes.subarray(bytes.indexOf('\n') + 1)
      if (!bytes.toString('latin1', 0, 65).startsWith(`${digestOf(text)}\n`)) return undefined
      const read: unknown = JSON.parse(text.toString('utf8'))
      await utimes(file, new Date(), new Date())
      return read
    } catch {
      return undefined
    }
  }

  /** Replaces the file for this key, and removes what is too old or too much. */
  async write(key: readonly string[], value: object): Promise<void> {
    const file = this.#fileOf(key)
    const unfinished = `${file}.${randomUUID()}`
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      const text = JSON.stringify(value)
      if (text.length > maxBytes / 2) return
      await writeFile(unfinished, `${digestOf(text)}\n${text}`, { mode: 0o600, flag: 'wx' })
      await rename(unfinished, file)
      await this.#sweep()
    } catch {
      // A full or read-only disk costs only speed.
      await rm(unfinished, { force: true }).catch(() => {})
    }
  }

  #fileOf(key: readonly string[]): string {
    const name = createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 40)
    return join(this.#folder, `${name}.json`)
  }

  async #sweep(): Promise<void> {
    const names = await readdir(this.#folder)
    const found = await Promise.all(
      names.map(async (name) => {
        const path = join(this.#folder, name)
        const facts = await stat(path).catch(() => null)
        return facts && { path, sizeBytes: facts.size, usedMs: facts.mtimeMs }
      }),
    )
    let bytes = 0
    const newestFirst = found
      .filter((file) => file !== null)
      .toSorted((a, b) => b.usedMs - a.usedMs)
    for (const { path, sizeBytes, usedMs } of newestFirst) {
      bytes += sizeBytes
      if (bytes > maxBytes || Date.now() - usedMs > maxAgeMs) await rm(path, { force: true })
    }
  }
}
