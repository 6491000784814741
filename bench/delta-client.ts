import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ClientRequest } from 'node:http'
import type { Socket } from 'node:net'
import { listSource } from '../client/src/deploy/list-source.ts'
import { Gateway } from '../client/src/gateway.ts'
import { ignoreRules } from '../client/src/ignore/ignore-rules.ts'
import { CacheFolder } from '../client/src/sending/cache-folder.ts'
import { SourceCalls } from '../client/src/sending/calls.ts'
import { FileHashes } from '../client/src/sending/file-hashes.ts'
import { hashSource } from '../client/src/sending/hash-source.ts'
import { readKnownTree, writeKnownTree } from '../client/src/sending/known-tree.ts'
import { Patience } from '../client/src/sending/patience.ts'
import { sendTree } from '../client/src/sending/send-tree.ts'
import type { Lab } from '../lab/start-lab.ts'

const compression = 'zstd'
const progress = { plan() {}, sent() {}, note() {}, done() {} }
const rulesOf = { ignoreFiles: ['.dockerignore'], included: [], noIgnore: false }

/**
 * Sends a folder by the steps of `tarmac deploy`, in this process, with its cache on disk. It counts
 * the bytes of its connections.
 */
export class DeltaClient {
  readonly #gateway: Gateway
  readonly #app: string
  readonly #folder: string
  readonly #cache: CacheFolder
  readonly #over = new AbortController()
  readonly #sockets = new Set<Socket>()

  /** `cache`: a folder. */
  constructor(
    lab: Pick<Lab, 'gateway' | 'token'>,
    { app, folder, cache }: { app: string; folder: string; cache: string },
  ) {
    this.#gateway = new Gateway(new URL(lab.gateway), lab.token)
    this.#app = app
    this.#folder = folder
    this.#cache = new CacheFolder({ XDG_CACHE_HOME: cache })
    subscribe('http.client.request.start', this.#watch)
  }

  /** Resolves when the gateway has the tree. */
  async send(): Promise<{ ms: number; scanMs: number; hashMs: number; bytes: number }> {
    const { signal } = this.#over
    const before = this.#bytes()
    const start = performance.now()
    const hashes = await FileHashes.open(this.#cache, this.#folder)
    const base = await readKnownTree(this.#cache, this.#gateway.address, this.#app)
    const listedMs = Date.now()
    const rules = await ignoreRules(this.#folder, rulesOf, () => {})
    const { entries } = await listSource(this.#folder, rules)
    const scanMs = performance.now() - start
    const { tree, files } = await hashSource(this.#folder, entries, hashes, signal)
    const hashMs = performance.now() - start - scanMs
    const saving = hashes.save(files, listedMs)

    const way = { gateway: this.#gateway, app: this.#app, compression, signal } as const
    const patience = new Patience((text) => console.log(text), signal)
    const calls = new SourceCalls(way)
    const deps = { folder: this.#folder, calls, compression, patience, progress } as const
    if (!(await sendTree(tree, base, deps))) throw new Error('The gateway knows no trees.')
    const ms = performance.now() - start
    const bytes = this.#bytes() - before

    await saving
    await writeKnownTree(this.#cache, [this.#gateway.address, this.#app], tree)
    return { ms, scanMs: Math.round(scanMs), hashMs: Math.round(hashMs), bytes }
  }

  close(): void {
    unsubscribe('http.client.request.start', this.#watch)
    this.#over.abort()
  }

  readonly #watch = (message: unknown): void => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as Node documents it
    const { request } = message as { request: ClientRequest }
    request.once('socket', (socket) => void this.#sockets.add(socket))
  }

  #bytes(): number {
    return [...this.#sockets].reduce(
      (sum, socket) => sum + socket.bytesWritten + socket.bytesRead,
      0,
    )
  }
}
