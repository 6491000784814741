import { createHmac, hash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { Problem } from '#api/problem.ts'
import type { SourceTree } from '../../deployments/source-tree.ts'
import { filterEntries } from './context-filter.ts'
import type { ArchiveJob } from './context-thread.ts'
import { contextThreads } from './context-threads.ts'
import { filesOf } from './tree-view.ts'

/** A source that the server offers to the daemon, until it is disposed of. */
export type Context = {
  url: string
  /** The daemon's file name for the archive. */
  filename: string
  /**
   * The first file that differs from the tree, or null. If there is one, the build's result is
   * invalid.
   */
  changed(): string | null
  /** Why the source could not be sent, if the source is at fault. */
  problem(): Problem | null
  [Symbol.dispose](): void
}

type Offered = {
  job: ArchiveJob
  etag: string
  changed: string | null
  problem: Problem | null
  holders: number
}

/**
 * Serves source trees to the daemon as archives that are made during the download. It listens on
 * loopback only, and computing a path needs the gateway's key. The same source has the same
 * address, so the daemon reads its bytes once.
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
    const path = `/${secret}/${filename}`

    const offered =
      this.#offered.get(path) ?? offeredOf(tree, ignore, hash('sha256', tree.digest + filter))
    this.#offered.set(path, offered)
    offered.holders += 1

    let held = true
    return {
      url: `${this.#origin}${path}`,
      filename,
      changed: () => offered.changed,
      problem: () => offered.problem,
      [Symbol.dispose]: () => {
        if (held && --offered.holders === 0) this.#offered.delete(path)
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
    const offered = this.#offered.get(request.url ?? '')
    if (!offered || (request.method !== 'GET' && request.method !== 'HEAD'))
      return void response.writeHead(404).end()
    const known = (request.headers['if-none-match'] ?? '')
      .split(',')
      .some((each) => each.trim() === offered.etag)
    response.setHeader('etag', offered.etag)
    if (known) return void response.writeHead(304).end()
    await send(offered, request, response).catch((error: unknown) => {
      response.destroy() // shorter than the promised length, so the daemon discards all of it
      if (!(error instanceof Problem)) return
      if (error.code === 'source-changed') offered.changed ??= String(error.facts['path'])
      else offered.problem ??= error
    })
  }
}

/** Throws the error of the thread. A daemon that disconnects is not an error. */
async function send(
  { job }: Offered,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { port, end } = contextThreads.start('archive', job)
  response.once('close', end)
  try {
    const sizeBytes = await port.value<number>()
    response.writeHead(200, { 'content-type': 'application/x-tar', 'content-length': sizeBytes })
    if (request.method === 'HEAD') return void response.end()
    port.sendValue('go')
    await pipeline(port.pieces(), response)
  } finally {
    end()
  }
}

const filename = 'context.tar'

function offeredOf(tree: SourceTree, ignore: readonly string[], etag: string): Offered {
  filterEntries([], ignore) // throws if a pattern is invalid
  const job = { ...filesOf(tree), ignore, time: archiveTime(tree.digest) }
  return { job, etag: `"${etag}"`, changed: null, problem: null, holders: 0 }
}

/**
 * A time that depends only on the tree: web servers derive ETags from file times. It is in 2020 or
 * 2021. All files have it, so no file looks older than another.
 */
const archiveTime = (treeDigest: string): Date =>
  new Date((1_577_836_800 + (Number.parseInt(treeDigest.slice(-8), 16) % 63_000_000)) * 1000)
