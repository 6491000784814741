import { createHash } from 'node:crypto'
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline, type Readable, Transform } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { UploadForm } from './upload-form.ts'

const continueMs = 1000
/** A line on which no byte of the body moves for so long is dead. */
const stuckMs = 60_000
/** The gateway may check and write for two minutes after the last byte. */
const silenceMs = 150_000

type Target = { url: URL; method: string; headers: Record<string, string> }
/** `wrap`: puts a form around the body. `onSent` is called with the bytes as they are sent. */
export type Sending = Partial<Pick<UploadForm, 'wrap'>> & {
  body: Readable
  onSent?: (bytes: number) => void
}
export type Answer = { status: number; headers: IncomingMessage['headers']; text: string }

/**
 * Sends a body. With the header `Expect: 100-continue` it waits for that first, so that a refusal
 * costs no upload. A body of unknown length gets its `Content-Digest` as a trailer (RFC 9530).
 */
export async function sendBody(
  { url, method, headers }: Target,
  { body, wrap = (whole) => whole, onSent = () => {} }: Sending,
  signal: AbortSignal,
): Promise<Answer> {
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest
  const isCounted = 'Content-Length' in headers
  const all = { ...headers, ...(!isCounted && { Trailer: 'Content-Digest' }) }
  const request = send(url, { method, headers: all, signal })
  request.setTimeout(stuckMs, () => request.destroy(new Error('the connection went silent')))
  request.once('finish', () => request.setTimeout(silenceMs))
  const watched = counted(onSent, isCounted ? null : request)
  let begun = false
  const begin = () => {
    // Errors arrive on the request.
    if (!begun) pipeline(body, watched, wrap, request, () => {})
    begun = true
  }

  // A proxy may not forward the Expect header.
  let impatience: NodeJS.Timeout | undefined
  const onConnected = () => (impatience = setTimeout(begin, 'Expect' in headers ? continueMs : 0))
  request.once('socket', (socket) =>
    socket.connecting ? socket.once('connect', onConnected) : onConnected(),
  )
  request.once('continue', begin).flushHeaders()
  try {
    const response = await responseOf(request)
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      text: await text(response),
    }
  } finally {
    clearTimeout(impatience)
    // The response is complete; the connection may break.
    request.on('error', () => {})
    body.destroy()
  }
}

/** The answer of a request, whether or not its body has been sent. */
function responseOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => request.once('response', resolve).once('error', reject))
}

/** Counts the bytes that pass. `trailed`: the request that gets their digest as a trailer. */
function counted(onBytes: (bytes: number) => void, trailed: ClientRequest | null): Transform {
  const hash = createHash('sha256')
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (trailed) hash.update(chunk)
      onBytes(chunk.length)
      done(null, chunk)
    },
    flush(done) {
      trailed?.addTrailers({ 'Content-Digest': contentDigest(hash.digest('base64')) })
      done()
    },
  })
}

/** The field for a SHA-256 in base64. */
export const contentDigest = (sha256: string): string => `sha-256=:${sha256}:`
