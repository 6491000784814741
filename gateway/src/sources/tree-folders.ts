import { randomUUID } from 'node:crypto'
import { renameSync } from 'node:fs'
import { mkdir, open, readdir, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Problem } from '#api/problem.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import { syncFileSystem } from '../host/disk/sync-file-system.ts'
import { manifestName, readManifest } from '../host/tree-manifest.ts'
import { hexOf } from './trees/digest-hex.ts'
import { removeTree } from './upload.ts'

/** A tree that was read or received in this time stays: its deployment may not be recorded yet. */
const graceMs = 10 * 60_000

/**
 * The trees on disk. `spool/` holds unfinished ones, `trees/` complete ones. A tree gets into `trees/`
 * by one rename, and never changes afterwards.
 */
export class TreeFolders {
  readonly #spool: string
  readonly #trees: string
  readonly #staged = new Set<string>()
  readonly #lastUsed = new Map<string, number>()

  private constructor(dir: string) {
    this.#spool = join(dir, 'spool')
    this.#trees = join(dir, 'trees')
  }

  /** `dir` is the data volume. Removes what an earlier gateway left in the spool. */
  static async open(dir: string): Promise<TreeFolders> {
    const folders = new TreeFolders(dir)
    await mkdir(folders.#spool, { recursive: true, mode: 0o700 })
    await mkdir(folders.#trees, { recursive: true })
    await folders.#sweepSpool()
    return folders
  }

  /** A path in the spool that no sweep removes until `release`. */
  stage(kind: string): { path: string; release: () => void } {
    const path = join(this.#spool, `${kind}-${randomUUID()}`)
    this.#staged.add(path)
    return { path, release: () => void this.#staged.delete(path) }
  }

  /** Returns a stored tree by its digest. */
  async tree(digest: string): Promise<SourceTree> {
    this.use(digest)
    const folder = this.folderOf(digest)
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

  /** No sweep removes this tree for a while. */
  use(digest: string): void {
    this.#lastUsed.set(digest, Date.now())
  }

  async has(digest: string): Promise<boolean> {
    return exists(this.folderOf(digest))
  }

  /**
   * Moves a staged tree to `trees/`, synced. `write` writes the rest of it first; null: it is whole
   * and synced. If the same tree is there already, that one stays.
   */
  async keep(path: string, digest: string, write: (() => Promise<void>) | null): Promise<void> {
    const folder = this.folderOf(digest)
    this.use(digest)
    if (!(await exists(folder))) {
      await write?.()
      crashPoint('body-whole')
      if (write) await syncFileSystem(path)
      await rename(path, folder).catch(async (error: unknown) => {
        if (!(await exists(folder))) throw error
      })
    }

    await using trees = await open(this.#trees)
    await trees.sync()
    crashPoint('tree-kept')
  }

  /** The digests of all trees. */
  async digests(): Promise<string[]> {
    return (await readdir(this.#trees)).map((name) => `sha256:${name}`)
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

  folderOf(digest: string): string {
    return join(this.#trees, hexOf(digest))
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
