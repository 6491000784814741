import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { Problem } from '#api/problem.ts'
import type { Connections } from './connections.ts'

/** Time for the address and the headers of a request. */
export const headersMs = 10_000

/**
 * Answers what Node's parser could not read, then closes the connection. Node alone would cut it at
 * once: a caller that still sends would see a reset instead of the answer. Whole requests before it
 * get their answers first.
 */
export function answerUnreadable(
  error: NodeJS.ErrnoException,
  socket: Socket,
  connections: Connections,
): void {
  connections.afterWhole(socket, () => {
    if (socket.writableEnded) return // already answered; later input is unreadable too
    if (!socket.writable) return void socket.destroy()
    // If an answer has begun, only end it.
    const isLate = connections.hasBegunAnswer(socket)
    socket.end(isLate ? '' : bareAnswer(problemOf(error, connections.isBusy(socket))))
    connections.cutSoon(socket)
  })
}

/** An answer as it goes over the line, where Node has none to write it with. */
export function bareAnswer(problem: Problem): string {
  const body = `${JSON.stringify(problem.body())}\n`
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

/** `inBody`: the head of the request was right. */
function problemOf({ code, message }: NodeJS.ErrnoException, inBody: boolean): Problem {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new Problem(
        'headers-too-large',
        'The address and headers of a request have at most 16 KiB. Send options such as env.NAME as fields of a form.',
      )
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new Problem(
        'headers-too-slow',
        `The address and headers of the request were not complete within ${headersMs / 1000} s. Send it again over a better connection.`,
      )
    case 'HPE_INVALID_EOF_STATE':
      return inBody
        ? new Problem(
            'body-truncated',
            'The connection ended before the body was complete. Send it again.',
          )
        : invalid('The connection ended within a request.')
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return invalid('The chunks of the body have extensions of more than 16 KiB. Send none.')
    case undefined:
    default:
      return invalid(
        `The request is not valid HTTP (${code ?? message}). The program that made it, or a proxy before the gateway, is at fault.`,
      )
  }
}

const invalid = (detail: string) => new Problem('request-invalid', detail)
