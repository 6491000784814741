import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { type NewTree, PackAnswer, TreeAnswer } from '#api/sources/tree-calls.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import { readAnswer } from '../answers.ts'
import { compressed, type Compression } from '../deploy/compression.ts'
import type { Exchange, Gateway } from '../gateway.ts'
import { type Answer, contentDigest } from './send-body.ts'

const sliceBytes = 64 * 1024
/** From this size on a body waits for the gateway's consent: a refusal costs no more than that. */
const largeBytes = 256 * 1024
/** A smaller body is not worth a compression. */
const smallBytes = 1024
const tus = { 'Tus-Resumable': '1.0.0' }

type Way = {
  gateway: Gateway
  app: string
  compression: Compression
  signal: AbortSignal
}
/** `sha256`: in base64, if it is known. */
type Body = { bytes: Buffer; sha256?: string; onSent?: (bytes: number) => void }

/** The gateway's calls for trees, packs and resumable uploads, for one app. */
export class SourceCalls {
  readonly #way: Way

  constructor(way: Way) {
    this.#way = way
  }

  /** Sends the manifest of a tree. `onSent` gets the bytes on the line. */
  async tree(manifest: NewTree, onSent: (bytes: number) => void): Promise<TreeAnswer> {
    const text = Buffer.from(JSON.stringify(manifest))
    const { compression } = this.#way
    const isPlain = compression === 'none' || text.length < smallBytes
    const bytes = isPlain ? text : compressed(text, compression)
    const headers = {
      'Content-Type': 'application/json',
      ...(!isPlain && { 'Content-Encoding': compression }),
    }
    const path = fill(routes.trees, { app: this.#way.app })
    const answer = await this.#send({ path, headers, accepted: [200] }, { bytes, onSent })
    return readAnswer(TreeAnswer, parsed(answer))
  }

  /** Sends a pack of files. */
  async pack(bytes: Buffer, onSent: (bytes: number) => void): Promise<PackAnswer> {
    const path = fill(routes.packs, { app: this.#way.app })
    const headers = { 'Content-Type': 'application/octet-stream' }
    const answer = await this.#send({ path, headers, accepted: [201] }, { bytes, onSent })
    return readAnswer(PackAnswer, parsed(answer))
  }

  /** Takes a finished upload as a pack. */
  async packUploaded(upload: string): Promise<PackAnswer> {
    const path = fill(routes.packs, { app: this.#way.app })
    const bytes = Buffer.from(JSON.stringify({ upload }))
    const headers = { 'Content-Type': 'application/json' }
    const answer = await this.#send({ path, headers, accepted: [201] }, { bytes })
    return readAnswer(PackAnswer, parsed(answer))
  }

  /** Sends a request that makes something. With the same key it makes it once. */
  async make(path: string, key: string, fields: object): Promise<string> {
    const bytes = Buffer.from(JSON.stringify(fields))
    const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': key }
    return (await this.#send({ path, headers, accepted: [202] }, { bytes })).text
  }

  /** Begins a resumable upload. Returns its id. */
  async createUpload(sizeBytes: number): Promise<string> {
    const app = Buffer.from(this.#way.app).toString('base64')
    const headers = { ...tus, 'Upload-Length': String(sizeBytes), 'Upload-Metadata': `app ${app}` }
    const asked = { path: routes.uploads, headers, accepted: [201] }
    const answer = await this.#send(asked, { bytes: Buffer.alloc(0) })
    const id = /\/([^/]+)$/.exec(answer.headers.location ?? '')?.[1]
    if (id !== undefined) return decodeURIComponent(id)
    throw new Problem('internal', 'The gateway made an upload, and does not say its address.')
  }

  /** How much of an upload the gateway has on its disk. Null: it does not know the upload. */
  async uploadOffset(id: string): Promise<number | null> {
    const path = fill(routes.upload, { id })
    const accepted = [200, 204, 404, 410]
    const asked = { path, method: 'HEAD', headers: tus, accepted } as const
    const answer = await this.#send(asked, { bytes: Buffer.alloc(0) })
    return answer.status >= 400 ? null : offsetOf(answer)
  }

  /** Sends a part of an upload. Returns how much of it the gateway has now. */
  async uploadPart(
    id: string,
    offset: number,
    bytes: Buffer,
    onSent: (bytes: number) => void,
  ): Promise<number> {
    const sha256 = sha256Of(bytes)
    const headers = {
      ...tus,
      'Content-Type': 'application/offset+octet-stream',
      'Upload-Offset': String(offset),
      'Upload-Checksum': `sha256 ${sha256}`,
    }
    const path = fill(routes.upload, { id })
    const asked = { path, method: 'PATCH' as const, headers, accepted: [204] }
    return offsetOf(await this.#send(asked, { bytes, sha256, onSent }))
  }

  #send(
    { headers, ...asked }: Exchange,
    { bytes, sha256 = sha256Of(bytes), onSent = () => {} }: Body,
  ): Promise<Answer> {
    const { gateway, signal } = this.#way
    const all = {
      ...headers,
      'Content-Length': String(bytes.length),
      'Content-Digest': contentDigest(sha256),
      ...(bytes.length >= largeBytes && { Expect: '100-continue' }),
    }
    const body = Readable.from(slices(bytes), { objectMode: false })
    return gateway.exchange({ ...asked, headers: all }, { body, onSent }, signal)
  }
}

const sha256Of = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('base64')

/** Small pieces, so that progress is seen. */
function* slices(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += sliceBytes) yield bytes.subarray(at, at + sliceBytes)
}

function offsetOf({ headers }: Answer): number {
  const offset = headers['upload-offset']
  if (typeof offset === 'string' && /^\d{1,15}$/.test(offset)) return Number(offset)
  throw new Problem('internal', 'The gateway does not say how much of the upload it has.')
}

function parsed({ text }: Answer): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null // no gateway answers so
  }
}
