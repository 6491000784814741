import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { SourceFacts } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { PackAnswer, TreeAnswer } from '#api/sources/tree-calls.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import type { LateDigest } from './content-digest.ts'
import { defaultLimits, type Limits } from './limits.ts'
import { asSourceProblem } from './source-problem.ts'
import { TreeFolders } from './tree-folders.ts'
import { Incoming } from './trees/incoming.ts'
import { joinedName } from './trees/join-tree.ts'
import { TreeQueue } from './trees/tree-queue.ts'
import { joinOnThread, removeTree, spareOnThread, sweepOnThread, Upload } from './upload.ts'

/** Right after it was sent, a tree is built: joining takes the disk from that. */
const joinLaterMs = 2000

type Sending = { contentDigest?: string | undefined; signal: AbortSignal }
/** `lateDigest`: what the sender says of the bytes after them. */
type SendingArchive = Sending & { lateDigest?: LateDigest }
/** What an app has sent before, newest first, and how to note what it has sent now. */
export type SenderRecord = { app: string; sent: readonly string[]; note: (digest: string) => void }

/**
 * Turns uploads into source trees on disk. What trees have in common is on disk once (see `Objects`).
 */
export class Sources {
  readonly #volume: string
  readonly #limits: Limits
  readonly #folders: TreeFolders
  readonly #spares: string
  readonly #joining = new TreeQueue((digest) => this.#joinNow(digest), joinLaterMs)
  readonly #sparing = new TreeQueue((digest) => spareOnThread(this.#spareOf(digest)))
  readonly #closing = new AbortController()
  readonly #running = new Set<Promise<unknown>>()
  #mayHaveUnused = true

  private constructor(volume: string, limits: Limits, folders: TreeFolders) {
    this.#volume = volume
    this.#limits = limits
    this.#folders = folders
    this.#spares = join(volume, 'spares', randomUUID())
  }

  /** `dir` is the data volume. Removes what an earlier gateway left in the spool. */
  static async open({ dir, limits }: { dir: string; limits?: Partial<Limits> }): Promise<Sources> {
    return new Sources(dir, { ...defaultLimits, ...limits }, await TreeFolders.open(dir))
  }

  /**
   * Stores an archive as a tree, or refuses it and leaves nothing. Resolves when all of it is
   * synced to disk. After a refusal the rest of the body is unread: answer and close the
   * connection.
   */
  receive(body: Readable, sending: SendingArchive): Promise<SourceFacts> {
    const { lateDigest } = sending
    return this.#run(sending.signal, async (signal) => {
      const staged = this.#folders.stage('receive')
      const isDigestLate = lateDigest !== undefined
      const job = { ...this.#jobOf(sending), path: staged.path, isDigestLate }
      const upload = new Upload('upload', job)
      return this.#during(upload, staged.release, async () => {
        const facts = await upload.check(body, signal, lateDigest)
        await this.#folders.keep(upload.path, facts.digest, () => upload.finish())
        return facts
      })
    })
  }

  /**
   * Stores a tree by its manifest, or answers which of its files the app has not sent. Otherwise as
   * `receive`.
   */
  receiveTree(
    body: Readable,
    { app, sent, note }: SenderRecord,
    sending: Sending,
  ): Promise<TreeAnswer> {
    return this.#run(sending.signal, async (signal) => {
      for (const digest of sent) this.#folders.use(digest)
      const staged = this.#folders.stage('tree')
      const places = { path: staged.path, volume: this.#volume, spares: this.#spares }
      const upload = new Upload('tree', { ...this.#jobOf(sending), ...places, app, sent })
      return this.#during(upload, staged.release, async () => {
        const answer = await upload.check(body, signal)
        if (answer.state === 'missing') return answer
        await this.#folders.keep(upload.path, answer.digest, null)
        note(answer.digest)
        await upload.finish()
        this.#sparing.add(answer.digest)
        return answer
      })
    })
  }

  /** Stores files for trees to come. Otherwise as `receive`. */
  receivePack(body: Readable, app: string, sending: Sending): Promise<PackAnswer> {
    return this.#run(sending.signal, async (signal) => {
      const staged = this.#folders.stage('pack')
      const job = { ...this.#jobOf(sending), path: staged.path, volume: this.#volume, app }
      const upload = new Upload('pack', job)
      this.#mayHaveUnused = true
      return this.#during(upload, staged.release, () => upload.check(body, signal))
    })
  }

  /** Returns a stored tree by its digest. */
  tree(digest: string): Promise<SourceTree> {
    return this.#folders.tree(digest)
  }

  /** No sweep removes this tree for a while. */
  use(digest: string): void {
    this.#folders.use(digest)
  }

  /** Whether a tree is stored. It may be removed after that: `tree` keeps it. */
  has(digest: string): Promise<boolean> {
    return this.#folders.has(digest)
  }

  /** Puts the files of a tree into the store, in the background. */
  join(digest: string): void {
    if (!existsSync(join(this.#folders.folderOf(digest), joinedName))) this.#joining.add(digest)
  }

  /** The app was deleted: another one of its name has sent nothing. */
  async forget(app: string): Promise<void> {
    this.#mayHaveUnused = true
    await removeTree(new Incoming(this.#volume).folderOf(app))
  }

  /** Removes the trees that are not in use, what finished uploads left, and what no tree took. */
  async sweep(inUse: Set<string>): Promise<{ removed: number }> {
    const { removed } = await this.#folders.sweep(inUse)
    const mayHaveUnused = removed > 0 || this.#mayHaveUnused
    this.#mayHaveUnused = false
    await sweepOnThread({ volume: this.#volume, spares: this.#spares, mayHaveUnused })
    for (const digest of await this.#folders.digests()) this.join(digest)
    return { removed }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(
      new Problem('stopping', 'The gateway is stopping. Send the archive again in a moment.'),
    )
    const queues = [this.#joining, this.#sparing].map((queue) => queue[Symbol.asyncDispose]())
    await Promise.allSettled([...this.#running, ...queues])
  }

  async #joinNow(digest: string): Promise<void> {
    const staged = this.#folders.stage('join')
    const folder = this.#folders.folderOf(digest)
    await joinOnThread({ volume: this.#volume, folder, spool: staged.path }).finally(staged.release)
  }

  #spareOf(digest: string) {
    return { volume: this.#volume, spares: this.#spares, digest, limits: this.#limits }
  }

  #jobOf({ contentDigest }: Sending) {
    return { limits: this.#limits, contentDigest }
  }

  /** Runs until it ends, the gateway stops or the sender is gone. */
  async #run<T>(sender: AbortSignal, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const over = new AbortController()
    const work = act(AbortSignal.any([sender, this.#closing.signal, over.signal]))
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

  async #during<T>(
    upload: Pick<Upload, 'end' | 'checked'>,
    release: () => void,
    act: () => Promise<T>,
  ): Promise<T> {
    try {
      return await act()
    } finally {
      // If the tree exists already, this copy is removed without making the sender wait. The sweep
      // removes what cannot be removed here.
      const ending = upload.end().finally(release)
      const clearing: Promise<void> = ending
        .catch(() => {})
        .finally(() => this.#running.delete(clearing))
      this.#running.add(clearing)
      if (!upload.checked) await ending
    }
  }
}
