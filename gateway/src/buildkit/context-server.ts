import { createHash, createHmac, hash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { setImmediate as breathe } from 'node:timers/promises'
import type { TreeEntry } from '#api/tree.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import { filterEntries } from './context-filter.ts'
import { tarBytes, tarEnd, tarHeader, tarPadding, tarTimeSeconds } from './context-tar.ts'

const pieceBytes = 1024 * 1024
/** Smaller files are read in place: a trip through the thread pool costs more than the reading. */
const smallFileBytes = 64 * 1024
/** Room for one more header (a path and a link's target are at most 4 KiB each), a small file and the end. */
const reserveBytes = 128 * 1024
/** The longest that reading in place may hold up everything else. */
const sliceMs = 8

/** A source on offer to the daemon, until it is disposed of. */
export type Context = {
  url: string
  /** The name under which the daemon keeps the archive. */
  filename: string
  /** The first file found to be other than the tree says, if any: what was built from it does not count. */
  changed(): string | null
  [Symbol.dispose](): void
}

type Offered = {
  root: string
  entries: readonly TreeEntry[]
  sizeBytes: number
  mtimeSeconds: number
  etag: string
  changed: string | null
  holders: number
}

/**
 * Hands source trees to the daemon as archives made on the fly. Listens on loopback alone, and a path can be computed
 * only with our key; so the same source has the same address, and the daemon asks for its bytes once.
 */
export class ContextServer {
  readonly #server: Server
  readonly #key: Uint8Array
  readonly #offered = new Map<string, Offered>()

  private constructor(server: Server, key: Uint8Array) {
    this.#server = server
    this.#key = key
    server.on('request', (request, response) => void this.#answer(request, response))
  }

  static async open(port: number, key: Uint8Array): Promise<ContextServer> {
    const server = createServer()
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return new ContextServer(server, key)
  }

  /** `ignore` are docker-style patterns. The same app, tree and patterns share one address. */
  offer(app: string, tree: SourceTree, ignore: readonly string[]): Context {
    const filter = JSON.stringify(ignore)
    const secret = createHmac('sha256', this.#key)
      .update(JSON.stringify([app, tree.digest, filter]))
      .digest('hex')
    const path = `/${secret}/${filename}`
    const offered = this.#offered.get(path) ?? offeredOf(tree, ignore, hash('sha256', tree.digest + filter))
    this.#offered.set(path, offered)
    offered.holders += 1
    let held = true
    return {
      url: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${path}`,
      filename,
      changed: () => offered.changed,
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
    if (!offered || (request.method !== 'GET' && request.method !== 'HEAD')) return void response.writeHead(404).end()
    const known = (request.headers['if-none-match'] ?? '').split(',').some((each) => each.trim() === offered.etag)
    response.setHeader('etag', offered.etag)
    if (known) return void response.writeHead(304).end()
    response.writeHead(200, { 'content-type': 'application/x-tar', 'content-length': offered.sizeBytes })
    if (request.method === 'HEAD') return void response.end()
    // An error ends the connection before the promised length: the daemon takes nothing of it.
    await pipeline(piecesOf(offered), response).catch((error: unknown) => {
      if (error instanceof Changed) offered.changed ??= error.message
    })
  }
}

const filename = 'context.tar'

function offeredOf(tree: SourceTree, ignore: readonly string[], etag: string): Offered {
  const entries = filterEntries(tree.entries, ignore)
  return {
    root: tree.root,
    entries,
    sizeBytes: tarBytes(entries),
    mtimeSeconds: tarTimeSeconds(tree.digest),
    etag: `"${etag}"`,
    changed: null,
    holders: 0,
  }
}

/** The path of a file that is not what the tree says. */
class Changed extends Error {}

type File = Extract<TreeEntry, { type: 'file' }>
// Never through a link, and never waiting: what was put in a file's place may be a pipe.
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

async function* piecesOf({ root, entries, mtimeSeconds }: Offered): AsyncGenerator<Buffer, void> {
  let piece = Buffer.allocUnsafe(pieceBytes)
  let filled = 0
  const take = (): Buffer => {
    const taken = piece.subarray(0, filled)
    piece = Buffer.allocUnsafe(pieceBytes) // the former one may still be on its way out
    filled = 0
    return taken
  }
  const put = (bytes: Buffer) => void (filled += bytes.copy(piece, filled))
  let sliceEnd = performance.now() + sliceMs
  for (const entry of entries) {
    put(tarHeader(entry, mtimeSeconds))
    if (entry.type === 'file' && entry.sizeBytes <= smallFileBytes) filled += readSmall(root, entry, piece, filled)
    else if (entry.type === 'file') {
      yield take()
      yield* readLarge(root, entry)
    }
    if (entry.type === 'file') put(tarPadding(entry.sizeBytes))
    if (filled > pieceBytes - reserveBytes) yield take()
    if (performance.now() < sliceEnd) continue
    await breathe()
    sliceEnd = performance.now() + sliceMs
  }
  put(tarEnd)
  yield take()
}

/** Reads one byte more than there should be: so a file that grew shows, too. */
function readSmall(root: string, file: File, into: Buffer, at: number): number {
  let read = -1
  try {
    const fd = openSync(`${root}/${file.path}`, openFlags)
    try {
      read = readSync(fd, into, at, file.sizeBytes + 1, null)
    } finally {
      closeSync(fd)
    }
  } catch (cause) {
    throw new Changed(file.path, { cause })
  }
  const same = read === file.sizeBytes && hash('sha256', into.subarray(at, at + read)) === file.sha256
  if (!same) throw new Changed(file.path)
  return read
}

async function* readLarge(root: string, file: File): AsyncGenerator<Buffer, void> {
  const handle = await open(`${root}/${file.path}`, openFlags).catch((cause) => {
    throw new Changed(file.path, { cause })
  })
  try {
    const sum = createHash('sha256')
    let left = file.sizeBytes
    const read = () => handle.read(Buffer.allocUnsafe(Math.min(left, pieceBytes)))
    let coming = read()
    while (left > 0) {
      const { bytesRead, buffer } = await coming
      if (bytesRead === 0) break
      left -= bytesRead
      coming = read() // while this part is summed and sent
      coming.catch(() => {}) // seen above, unless nobody wants more
      const part = buffer.subarray(0, bytesRead)
      sum.update(part)
      // The last part is held back until all of it is known to be right.
      if (left === 0 && (sum.digest('hex') !== file.sha256 || (await handle.stat()).size !== file.sizeBytes)) break
      yield part
      if (left === 0) return
    }
    throw new Changed(file.path)
  } finally {
    await handle.close()
  }
}
