import { randomUUID } from 'node:crypto'
import { renameSync } from 'node:fs'
import { mkdir, open, readdir, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { SourceFacts } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import { defaultLimits, type Limits } from './limits.ts'
import { manifestName, readManifest } from '../host/tree-manifest.ts'
import { asSourceProblem } from './source-problem.ts'
import { removeTree, syncTree, Upload } from './upload.ts'

/** A tree that was read or received in this time stays: its deployment may not be recorded yet. */
const graceMs = 10 * 60_000

/**
 * Turns uploads into source trees on disk. `spool/` holds unfinished trees, `trees/` complete ones.
 * A tree gets into `trees/` by one rename, and never changes afterwards.
 */
export class Sources {
  readonly #spool: string
  readonly #trees: string
  readonly #limits: Limits
  readonly #closing = new AbortController()
  readonly #running = new Set<Promise<unknown>>()
  readonly #staged = new Set<string>()
  readonly #lastUsed = new Map<string, number>()

  private constructor(dir: string, limits: Limits) {
    this.#spool = join(dir, 'spool')
    this.#trees = join(dir, 'trees')
    this.#limits = limits
  }

  /** `dir` is the data volume. Removes what an earlier gateway left in the spool. */
  static async open({ dir, limits }: { dir: string; limits?: Partial<Limits> }): Promise<Sources> {
    const sources = new Sources(dir, { ...defaultLimits, ...limits })
    await mkdir(sources.#spool, { recursive: true, mode: 0o700 })
    await mkdir(sources.#trees, { recursive: true })
    await sources.#sweepSpool()
    return sources
  }

  /**
   * Stores an archive as a tree, or refuses it and leaves nothing. Resolves when all of it is
   * synced to disk. After a refusal the rest of the body is unread: answer and close the
   * connection.
   */
  async receive(
    body: Readable,
    { contentDigest, signal }: { contentDigest?: string | undefined; signal: AbortSignal },
  ): Promise<SourceFacts> {
    const over = new AbortController()
    const work = this.#receive(
      body,
      contentDigest,
      AbortSignal.any([signal, this.#closing.signal, over.signal]),
    )
    this.#running.add(work)

    try {
      return await work
    } catch (error) {
      throw asSourceProblem(error)
    } finally {
      over.abort() // stops reading the body
      this.#running.delete(work)
    }
  }

  /** Returns a stored tree by its digest. */
  async tree(digest: string): Promise<SourceTree> {
    this.#lastUsed.set(digest, Date.now())
    const folder = this.#folderOf(digest)
    try {
      const manifest = join(folder, manifestName)
      return { ...(await readManifest(manifest)), root: join(folder, 'files'), manifest }
    } catch (cause) {
      throw new Problem(
        'internal',
        `The gateway no longer has the source ${digest}. Send it again.`,
        { cause },
      )
    }
  }

  /** Whether a tree is stored. It may be removed after that: `tree` keeps it. */
  has(digest: string): Promise<boolean> {
    return exists(join(this.#folderOf(digest), manifestName))
  }

  /** Removes the trees that are not in use, and what finished uploads left in the spool. */
  async sweep(inUse: Set<string>): Promise<{ removed: number }> {
    for (const [digest, at] of this.#lastUsed)
      if (Date.now() - at > graceMs) this.#lastUsed.delete(digest)
    for (const name of await readdir(this.#trees)) {
      const digest = `sha256:${name}`
      if (inUse.has(digest) || this.#lastUsed.has(digest)) continue
      // Same turn as the check before it: later callers of `tree` find no tree, never half of one.
      renameSync(join(this.#trees, name), join(this.#spool, `swept-${name}`))
    }
    return { removed: await this.#sweepSpool() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(
      new Problem('stopping', 'The gateway is stopping. Send the archive again in a moment.'),
    )
    await Promise.allSettled(this.#running)
  }

  async #receive(
    body: Readable,
    contentDigest: string | undefined,
    signal: AbortSignal,
  ): Promise<SourceFacts> {
    const path = join(this.#spool, `receive-${randomUUID()}`)
    this.#staged.add(path)
    const upload = new Upload({ path, limits: this.#limits, contentDigest })

    try {
      const facts = await upload.check(body, signal)
      await this.#keep(upload, facts)
      return facts
    } finally {
      // If the tree exists already, this copy is removed without making the sender wait. The sweep
      // removes what cannot be removed here.
      const ending = upload.end().finally(() => this.#staged.delete(path))
      const clearing: Promise<void> = ending
        .catch(() => {})
        .finally(() => this.#running.delete(clearing))
      this.#running.add(clearing)
      if (!upload.checked) await ending
    }
  }

  /** Moves a staged tree to `trees/`. If the same tree is there already, that one stays. */
  async #keep(upload: Upload, { digest }: SourceFacts): Promise<void> {
    const folder = this.#folderOf(digest)
    this.#lastUsed.set(digest, Date.now())
    if (!(await exists(folder))) {
      await upload.write()
      crashPoint('body-whole')
      await syncTree(upload.path)
      await rename(upload.path, folder).catch(async (error: unknown) => {
        if (!(await exists(folder))) throw error
      })
    }

    await using trees = await open(this.#trees)
    await trees.sync()
    crashPoint('tree-kept')
  }

  #folderOf(digest: string): string {
    const [, hex] = /^sha256:([0-9a-f]{64})$/.exec(digest) ?? []
    if (!hex)
      throw new Problem('internal', `${JSON.stringify(digest)} is no digest of a source tree.`)
    return join(this.#trees, hex)
  }

  async #sweepSpool(): Promise<number> {
    const left = (await readdir(this.#spool))
      .map((name) => join(this.#spool, name))
      .filter((p) => !this.#staged.has(p))
    for (const path of left) await removeTree(path)
    return left.length
  }
}

const exists = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => null)) !== null
