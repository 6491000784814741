import { createHmac, randomUUID } from 'node:crypto'
import { mkdir, readFile, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { byteOrder } from '../go/byte-order.ts'
import { PrepareResult, type PlanCacheKey, type PlanStore } from './plan-request.ts'

const format = 3 // of the files; raise it to invalidate all older ones
const cacheLimits = { plans: 1_000, sizeBytes: 64 * 2 ** 20 }

/**
 * Plans of earlier runs, one file each. A keyed hash of everything that a plan depends on is the
 * file's name. The cache may be deleted at any time.
 */
export class PlanCache implements PlanStore {
  readonly #dir: string
  readonly #key: Uint8Array
  readonly #limits: typeof cacheLimits

  constructor(dir: string, key: Uint8Array, limits = cacheLimits) {
    this.#dir = dir
    this.#key = key
    this.#limits = limits
  }

  async find(question: PlanCacheKey): Promise<PrepareResult | null> {
    const path = this.#path(question)
    try {
      const prepared = PrepareResult.parse(JSON.parse(await readFile(path, 'utf8')))
      // Eviction removes the least recently used plans first.
      await utimes(path, new Date(), new Date())
      return prepared
    } catch {
      return null // missing, deleted meanwhile, or damaged, for example by a power failure
    }
  }

  async keep(question: PlanCacheKey, prepared: PrepareResult): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 })
    const part = join(this.#dir, `part-${randomUUID()}`)
    await writeFile(part, JSON.stringify(prepared), { mode: 0o600 })
    await rename(part, this.#path(question))
    await this.#evict()
  }

  /** Removes the plans of an app. Returns how many. */
  async forget(app: string): Promise<number> {
    const own = (await readdir(this.#dir).catch(() => [])).filter((name) =>
      name.startsWith(this.#prefixOf(app)),
    )
    for (const name of own) await rm(join(this.#dir, name), { force: true })
    return own.length
  }

  /** Begins the names of an app's files. */
  #prefixOf(app: string): string {
    return `${createHmac('sha256', this.#key).update(app).digest('hex').slice(0, 16)}-`
  }

  /**
   * A keyed hash: the values of variables may be secrets, and a hash without a key could be
   * guessed.
   */
  #path({ app, planner, tree, options, secretNames = [] }: PlanCacheKey): string {
    const build = Object.entries(options.build).toSorted(([a], [b]) => byteOrder(a, b))
    const secrets = secretNames.toSorted(byteOrder)
    const question = [
      format,
      planner.path,
      planner.version,
      app,
      tree.digest,
      options.deploy,
      build,
      secrets,
    ]
    const hash = createHmac('sha256', this.#key).update(JSON.stringify(question)).digest('hex')
    return join(this.#dir, this.#prefixOf(app) + hash)
  }

  /** Removes the least recently used plans until the rest is within the limits. */
  async #evict(): Promise<void> {
    const paths = (await readdir(this.#dir)).map((name) => join(this.#dir, name))
    const found = await Promise.all(
      paths.map(async (path) => ({ path, ...(await sizeAndAge(path)) })),
    )
    const room = { ...this.#limits }
    for (const { path, sizeBytes } of found.toSorted((a, b) => b.usedMs - a.usedMs)) {
      room.plans -= 1
      room.sizeBytes -= sizeBytes
      if (room.plans < 0 || room.sizeBytes < 0) await rm(path, { force: true })
    }
  }
}

/** Zero if another run has just removed the file. */
const sizeAndAge = (path: string): Promise<{ sizeBytes: number; usedMs: number }> =>
  stat(path).then(
    ({ size, mtimeMs }) => ({ sizeBytes: size, usedMs: mtimeMs }),
    () => ({ sizeBytes: 0, usedMs: 0 }),
  )
