import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline, type Readable, Transform } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { UploadForm } from './upload-form.ts'

const continueMs = 1000

type Target = { url: URL; headers: Record<string, string> }
type Sending = Pick<UploadForm, 'wrap'> & { body: Readable; onSent: (bytes: number) => void }

/** Posts a body. Waits for `100 Continue` first, so that a refusal costs no upload. */
export async function sendBody(
  { url, headers }: Target,
  { body, wrap, onSent }: Sending,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest
  const request = send(url, { method: 'POST', headers, signal })
  let begun = false
  const begin = () => {
    // Errors arrive on the request.
    if (!begun) pipeline(body, counter(onSent), wrap, request, () => {})
    begun = true
  }

  // A proxy may not forward the Expect header.
  const impatience = setTimeout(begin, continueMs)
  request.once('continue', begin).flushHeaders()
  try {
    const response = await responseOf(request)
    return { status: response.statusCode ?? 0, text: await text(response) }
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

/** Counts the bytes that pass. */
const counter = (onBytes: (bytes: number) => void) =>
  new Transform({
    transform(chunk: Buffer, _encoding, done) {
      onBytes(chunk.length)
      done(null, chunk)
    },
  })
