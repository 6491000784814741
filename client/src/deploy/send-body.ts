import type { ClientRequest, IncomingMessage } from 'node:http'
import { Transform } from 'node:stream'

/** The answer of a request, whether or not its body has been sent. */
export function responseOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => request.once('response', resolve).once('error', reject))
}

/** Counts the bytes that pass. */
export const counter = (onBytes: (bytes: number) => void) =>
  new Transform({
    transform(chunk: Buffer, _encoding, done) {
      onBytes(chunk.length)
      done(null, chunk)
    },
  })
