import type { Request } from 'express'
import { AppName, appNameRule } from '#api/app.ts'
import { Problem } from '#api/problem.ts'
import type { NewUpload, UploadChecksum } from '#api/sources/upload.ts'
import { tooLarge } from '../../body/received.ts'
import { refuseEncoded } from '../../body/small-body.ts'
import { checksumAlgorithms } from './tus.ts'

type Headers = Pick<Request, 'get'>

/** What the headers of a creation ask for. Throws `request-invalid`, or 413 for too many bytes. */
export function readNewUpload(request: Headers, maxBytes: number): NewUpload {
  if (request.get('Upload-Defer-Length') !== undefined)
    throw invalid(
      'The gateway needs the length at the beginning: send Upload-Length, and no Upload-Defer-Length.',
    )
  if (request.get('Upload-Concat') !== undefined)
    throw invalid('The gateway joins no uploads: send no Upload-Concat.')

  const lengthBytes = wholeHeader(request, 'Upload-Length')
  if (lengthBytes > maxBytes) throw tooLarge(maxBytes, lengthBytes)

  const metadata = request.get('Upload-Metadata') ?? null
  const named = readMetadata(metadata ?? '').get('app')
  if (named === undefined)
    throw invalid(
      'Upload-Metadata names no app. Send app and its name as base64, as in: Upload-Metadata: app c2hvcA==',
    )
  const app = AppName.safeParse(named)
  if (!app.success) throw new Problem('app-name-invalid', appNameRule)
  return { app: app.data, lengthBytes, metadata, digest: readDigest(request) }
}

/** The bytes in a body, as its headers say. */
type Part = { offsetBytes: number; checksum: UploadChecksum | null; announcedBytes: number | null }

/** Reads the headers of a request with bytes of an upload. */
export function readPart(request: Request, offsetBytes: number): Part {
  const { headers } = request
  if (headers['content-type'] !== 'application/offset+octet-stream')
    throw new Problem(
      'media-type-unsupported',
      'Send the bytes with Content-Type: application/offset+octet-stream.',
    )
  refuseEncoded(request)
  const length = headers['content-length']
  const announcedBytes = length === undefined ? null : Number(length)
  return { offsetBytes, checksum: readChecksum(request), announcedBytes }
}

/** A header that is a number of bytes. Throws `request-invalid`. */
export function wholeHeader(request: Headers, name: string): number {
  const text = request.get(name)
  if (text !== undefined && /^\d{1,15}$/.test(text)) return Number(text)
  throw invalid(
    text === undefined
      ? `The request has no ${name}. Send it as a number of bytes.`
      : `${name} is a whole number of bytes, not ${JSON.stringify(text.slice(0, 50))}.`,
  )
}

/** The pairs of `Upload-Metadata`: `KEY BASE64,KEY BASE64,…`. Throws `request-invalid`. */
export function readMetadata(header: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const pair of header === '' ? [] : header.split(',')) {
    const [, key, value = ''] = /^([!-+\--~]{1,100})(?: ([A-Za-z0-9+/]*={0,2}))?$/.exec(pair) ?? []
    if (key === undefined)
      throw invalid(
        `Upload-Metadata has a part that cannot be read: ${JSON.stringify(pair.slice(0, 50))}. Send keys and values in base64, as in: app c2hvcA==,filename YS50YXI=`,
      )
    if (found.has(key)) throw invalid(`Upload-Metadata has ${key} twice. Send it once.`)
    found.set(key, Buffer.from(value, 'base64').toString())
  }
  return found
}

/** `Upload-Checksum`: `ALGORITHM BASE64`, of the body of this request. */
function readChecksum(request: Headers): UploadChecksum | null {
  const text = request.get('Upload-Checksum')
  if (text === undefined) return null
  const [name = '', digest = '', ...more] = text.split(' ')
  const algorithm = checksumAlgorithms.find((each) => each === name)
  if (!algorithm)
    throw new Problem(
      'digest-unsupported',
      `Send Upload-Checksum with one of ${checksumAlgorithms.join(', ')}, or send none.`,
    )
  const bytes = Buffer.from(digest, 'base64')
  const isWhole = bytes.length === digestBytes[algorithm] && bytes.toString('base64') === digest
  if (!isWhole || more.length > 0)
    throw invalid(`Upload-Checksum is the name ${algorithm}, a space, and the digest in base64.`)
  return { algorithm, digest: bytes }
}
const digestBytes = { sha1: 20, sha256: 32 } as const

/** `Repr-Digest` of the whole upload (RFC 9530). */
function readDigest(request: Headers): string | null {
  const text = request.get('Repr-Digest') ?? null
  if (text === null || /^sha-256=:[A-Za-z\d+/]{43}=:$/.test(text)) return text
  throw new Problem(
    'digest-unsupported',
    'Repr-Digest is sha-256=:BASE64:, the digest of the whole upload. Or send none.',
  )
}

const invalid = (detail: string) => new Problem('request-invalid', detail)
