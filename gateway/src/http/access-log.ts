import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tokenPattern } from '#api/callers/token.ts'
import type { Logger } from '../log.ts'

/** Gives each request an id, and logs how it ended. Never logs the query or a header. */
export function accessLog(log: Logger, stopping: AbortSignal) {
  return (
    { method, url = '', socket, headers }: IncomingMessage,
    response: ServerResponse,
  ): void => {
    const path = url.split('?', 1)[0]!.replace(tokenPattern, '***')
    const requestId = randomUUID()
    const begun = { at: performance.now(), read: socket.bytesRead, written: socket.bytesWritten }
    response.setHeader('X-Request-Id', requestId)

    // After an upgrade that was not taken, Node's parser may have lost bytes.
    if (stopping.aborted || headers.upgrade !== undefined) response.setHeader('Connection', 'close')

    response.once('close', () =>
      log.info(
        {
          requestId,
          method,
          path,
          status: response.statusCode,
          ended: response.writableFinished,
          ms: Math.round(performance.now() - begun.at),
          receivedBytes: socket.bytesRead - begun.read,
          sentBytes: socket.bytesWritten - begun.written,
        },
        'request',
      ),
    )
  }
}
