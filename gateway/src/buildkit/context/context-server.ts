import { createHmac, hash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { Problem } from '#api/problem.ts'
import type { TreeFile } from '#api/tree.ts'
import type { SourceTree } from '../../deployments/source-tree.ts'
import type { ArchiveJob, FileJob } from './context-thread.ts'
import { contextThreads } from './context-threads.ts'
import { largeFiles, mismatchedIn } from './large-files.ts'
import { filesOf } from './tree-view.ts'

/** A source that the server offers to the daemon, until it is disposed of. */
export type Context = {
  /** Of the archive. */
  url: string
  /** What is not in the archive. */
  large: readonly { url: string; file: TreeFile }[]
  /** The daemon's file name for the archive. */
  filename: string
  /**
   * The first file that differs from the tree, or null. If there is one, the build's result is
   * invalid. `failure`: the daemon's error, if the build failed.
   */
  changed(failure?: unknown): string | null
  /** Why the source could not be sent, if the source is at fault. */
  problem(): Problem | null
  [Symbol.dispose](): void
}

type Job = { time: Date } & (
  | { kind: 'archive'; work: ArchiveJob }
  | { kind: 'file'; work: FileJob }
)

type Offered = {
  /** What is sent, by the last part of its address. */
  jobs: Map<string, Job>
  etag: string
  changed: string | null
  problem: Problem | null
  holders: number
}

/**
 * Serves source trees to the daemon as archives that are made during the download, and large files
 * by themselves. It listens on loopback only, and computing a path needs the gateway's key. The
 * same source has the same address, so the daemon reads its bytes once.
 */
export class ContextServer {
  readonly #server: Server
  /** `http://127.0.0.1:PORT` */
  readonly #origin: string
  readonly #key: Uint8Array
  readonly #offered = new Map<string, Offered>()

  private constructor(server: Server, port: number, key: Uint8Array) {
    this.#server = server
    this.#origin = `http://127.0.0.1:${port}`
    this.#key = key
    server.on('request', (request, response) => void this.#answer(request, response))
  }

  static async open(port: number, key: Uint8Array): Promise<ContextServer> {
    const server = createServer()
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('No port is open.')
    return new ContextServer(server, address.port, key)
  }

  /** `ignore` holds docker-style patterns. The same app, tree and patterns share one address. */
  serveContext(app: string, tree: SourceTree, ignore: readonly string[]): Context {
    const filter = JSON.stringify(ignore)
    const secret = createHmac('sha256', this.#key)
      .update(JSON.stringify([app, tree.digest, filter]))
      .digest('hex')
    const large = largeFiles(tree.entries, ignore)
    const offered =
      this.#offered.get(secret) ??
      offeredOf(tree, ignore, large, hash('sha256', tree.digest + filter))
    this.#offered.set(secret, offered)
    offered.holders += 1
    const urlOf = (name: string) => `${this.#origin}/${secret}/${name}`

    let held = true
    return {
      url: urlOf(filename),
      large: large.map((file) => ({ file, url: urlOf(file.sha256) })),
      filename,
      changed: (failure) => offered.changed ?? mismatchedIn(failure, large),
      problem: () => offered.problem,
      [Symbol.dispose]: () => {
        if (held && --offered.holders === 0) this.#offered.delete(secret)
        held = false
      },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, secret = '', name = ''] = /^\/([^/]+)\/([^/]+)$/.exec(request.url ?? '') ?? []
    const offered = this.#offered.get(secret)
    const job = offered?.jobs.get(name)
    if (!offered || !job || (request.method !== 'GET' && request.method !== 'HEAD'))
      return void response.writeHead(404).end()
    const known = (request.headers['if-none-match'] ?? '')
      .split(',')
      .some((each) => each.trim() === offered.etag)
    if (job.kind === 'archive') response.setHeader('etag', offered.etag)
    if (known) return void response.writeHead(304).end()
    await send(job, request, response).catch((error: unknown) => {
      response.destroy() // shorter than the promised length, so the daemon discards all of it
      if (!(error instanceof Problem)) return
      if (error.code === 'source-changed') offered.changed ??= String(error.facts['path'])
      else offered.problem ??= error
    })
  }
}

/** Throws the error of the thread. A daemon that disconnects is not an error. */
async function send(
  { kind, work, time }: Job,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { port, end } = contextThreads.start(kind, work)
  response.once('close', end)
  try {
    const sizeBytes = await port.value<number>()
    response.writeHead(200, {
      'content-type': kind === 'archive' ? 'application/x-tar' : 'application/octet-stream',
      'content-length': sizeBytes,
      'last-modified': time.toUTCString(),
    })
    if (request.method === 'HEAD') return void response.end()
    port.sendValue('go')
    await pipeline(port.pieces(), response)
  } finally {
    end()
  }
}

/** All addresses at which the daemon reads a source. */
export const urlsOf = (context: Context | null): string[] =>
  context ? [context.url, ...context.large.map(({ url }) => url)] : []

const filename = 'context.tar'

function offeredOf(
  tree: SourceTree,
  ignore: readonly string[],
  large: readonly TreeFile[],
  etag: string,
): Offered {
  const time = archiveTime(tree.digest)
  const archive = { ...filesOf(tree), ignore, without: large.map(({ path }) => path), time }
  const jobs = new Map<string, Job>([[filename, { kind: 'archive', work: archive, time }]])
  for (const file of large)
    jobs.set(file.sha256, { kind: 'file', work: { root: tree.root, file }, time })
  return { jobs, etag: `"${etag}"`, changed: null, problem: null, holders: 0 }
}

/**
 * A time that depends only on the tree: web servers derive ETags from file times. It is in 2020 or
 * 2021. All files have it, so no file looks older than another.
 */
const archiveTime = (treeDigest: string): Date =>
  new Date((1_577_836_800 + (Number.parseInt(treeDigest.slice(-8), 16) % 63_000_000)) * 1000)
