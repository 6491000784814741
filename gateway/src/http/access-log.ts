import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tokenPattern } from '#api/callers/token.ts'
import type { Logger } from '../log.ts'

/** Logs the end of an answer: its status, and whether all of it was sent. */
export type NoteEnd = (status: number, isWhole: boolean) => void

/**
 * Gives each request an id, and logs how it ended. Never logs the query or a header. Returns what
 * logs the end, for an answer that its connection outlives.
 */
export function accessLog(log: Logger, stopping: AbortSignal) {
  return (request: IncomingMessage, response: ServerResponse): NoteEnd => {
    const requestId = randomUUID()
    response.setHeader('X-Request-Id', requestId)

    // After an upgrade that was not taken, Node's parser may have lost bytes.
    if (stopping.aborted || request.headers.upgrade !== undefined)
      response.setHeader('Connection', 'close')

    const noteEnd = endOf(request, requestId, log)
    response.once('close', () => noteEnd(response.statusCode, response.writableFinished))
    return noteEnd
  }
}

/** Holds neither the request nor its answer: a reader of a log stays longer than both. */
function endOf(
  { method, url = '', socket }: IncomingMessage,
  requestId: string,
  log: Logger,
): NoteEnd {
  const path = url.split('?', 1)[0]!.replace(tokenPattern, '***')
  const begun = { at: performance.now(), read: socket.bytesRead, written: socket.bytesWritten }
  return (status, isWhole) =>
    log.info(
      {
        requestId,
        method,
        path,
        status,
        ended: isWhole,
        ms: Math.round(performance.now() - begun.at),
        receivedBytes: socket.bytesRead - begun.read,
        sentBytes: socket.bytesWritten - begun.written,
      },
      'request',
    )
}
