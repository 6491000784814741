import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { fill, routes } from '../api/routes.ts'
import type { NewTree, TreeAnswer } from '../api/sources/tree-calls.ts'
import { tarEnd, tarHeader, tarPadding } from '../api/tar-writer.ts'
import { treeDigest, type TreeEntry } from '../api/tree.ts'
import type { Lab } from '../lab/start-lab.ts'

const packBytes = 32 * 2 ** 20

type Known = { stamp: string; entry: TreeEntry }

/**
 * Sends a folder as our client does: looks at every file, hashes those that changed, and sends them
 * against the last tree. It counts the bytes of its connection.
 */
export class DeltaClient {
  readonly #lab: Pick<Lab, 'gateway' | 'token'>
  readonly #app: string
  readonly #folder: string
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  readonly #known = new Map<string, Known>()
  readonly #sockets = new Set<Socket>()
  #base: { digest: string; entries: Map<string, TreeEntry> } | null = null

  constructor(lab: Pick<Lab, 'gateway' | 'token'>, app: string, folder: string) {
    this.#lab = lab
    this.#app = app
    this.#folder = folder
  }

  /** Resolves when the gateway has the tree. */
  async send(): Promise<{ ms: number; scanMs: number; bytes: number }> {
    const before = this.#bytes()
    const start = performance.now()
    const entries = this.#scan()
    const scanMs = Math.round(performance.now() - start)
    const digest = treeDigest(entries)
    const manifest = this.#manifest(digest, entries)

    let answer = await this.#sendTree(manifest)
    if (answer.state === 'missing') {
      for (const pack of this.#packs(entries, new Set(answer.missing)))
        await this.#post(routes.packs, pack, 201)
      answer = await this.#sendTree(manifest)
    }
    if (answer.state !== 'taken') throw new Error('The gateway lacks files that were sent.')
    this.#base = { digest, entries: new Map(entries.map((entry) => [entry.path, entry])) }
    return { ms: performance.now() - start, scanMs, bytes: this.#bytes() - before }
  }

  async close(): Promise<void> {
    this.#agent.destroy()
  }

  /** Every file, hashed only where its stamp is another than before. */
  #scan(): TreeEntry[] {
    const entries: TreeEntry[] = []
    const walk = (folder: string) => {
      for (const each of readdirSync(join(this.#folder, folder), { withFileTypes: true })) {
        const path = folder === '' ? each.name : `${folder}/${each.name}`
        if (each.isDirectory()) {
          entries.push({ type: 'folder', path })
          walk(path)
        } else entries.push(this.#file(path))
      }
    }
    walk('')
    return entries
  }

  #file(path: string): TreeEntry {
    const full = join(this.#folder, path)
    const { size, mtimeMs, ctimeMs, ino } = lstatSync(full)
    const stamp = `${size} ${mtimeMs} ${ctimeMs} ${ino}`
    const known = this.#known.get(path)
    if (known?.stamp === stamp) return known.entry
    const sha256 = createHash('sha256').update(readFileSync(full)).digest('hex')
    const entry = { type: 'file', path, mode: 0o644, sizeBytes: size, sha256 } as const
    this.#known.set(path, { stamp, entry })
    return entry
  }

  #manifest(digest: string, entries: TreeEntry[]): NewTree {
    const base = this.#base
    if (!base) return { digest, entries }
    const changed = entries.filter(
      (entry) => JSON.stringify(base.entries.get(entry.path)) !== JSON.stringify(entry),
    )
    const paths = new Set(entries.map(({ path }) => path))
    const removed = [...base.entries.keys()].filter((path) => !paths.has(path))
    return { digest, base: base.digest, entries: changed, removed }
  }

  *#packs(entries: TreeEntry[], missing: Set<string>): Generator<Buffer, void> {
    let pieces: Buffer[] = []
    let bytes = 0
    for (const entry of entries) {
      if (entry.type !== 'file' || !missing.delete(entry.sha256)) continue
      const content = readFileSync(join(this.#folder, entry.path))
      const head = tarHeader({ ...entry, path: entry.sha256 }, new Date(0))
      pieces.push(head, content, tarPadding(content.length))
      bytes += content.length
      if (bytes < packBytes) continue
      yield Buffer.concat([...pieces, tarEnd])
      pieces = []
      bytes = 0
    }
    if (pieces.length > 0) yield Buffer.concat([...pieces, tarEnd])
  }

  async #sendTree(manifest: NewTree): Promise<TreeAnswer> {
    return JSON.parse(await this.#post(routes.trees, Buffer.from(JSON.stringify(manifest)), 200))
  }

  #post(route: string, body: Buffer, wanted: number): Promise<string> {
    const content = zstdCompressSync(body)
    const url = this.#lab.gateway + fill(route, { app: this.#app })
    const headers = { authorization: `Bearer ${this.#lab.token}`, 'content-length': content.length }
    return new Promise((resolve, reject) => {
      const sending = request(url, { method: 'POST', agent: this.#agent, headers }, (response) => {
        const pieces: Buffer[] = []
        response.on('data', (piece: Buffer) => pieces.push(piece))
        response.on('end', () => {
          const text = Buffer.concat(pieces).toString()
          if (response.statusCode === wanted) resolve(text)
          else reject(new Error(`${route} answered ${response.statusCode}: ${text}`))
        })
      })
      sending.on('socket', (socket) => void this.#sockets.add(socket))
      sending.on('error', reject).end(content)
    })
  }

  #bytes(): number {
    return [...this.#sockets].reduce(
      (sum, socket) => sum + socket.bytesWritten + socket.bytesRead,
      0,
    )
  }
}
