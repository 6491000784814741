import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { Problem } from '#api/problem.ts'
import type { Connections } from './connections.ts'

const headersTooLarge = new Problem(
  'headers-too-large',
  'The address and headers of a request have at most 16 KiB. Send options such as env.NAME as fields of a form.',
)

const statuses: Record<string, string> = {
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/**
 * Answers a request that Node's parser could not read, then closes the connection. Node alone would
 * cut it at once: a caller that still sends would see a reset instead of the answer.
 */
export function answerUnreadable(
  error: NodeJS.ErrnoException,
  socket: Socket,
  connections: Connections,
): void {
  if (socket.writableEnded) return // already answered; later input is unreadable too
  if (!socket.writable) return void socket.destroy()
  // If an answer has begun, only end it.
  socket.end(connections.hasBegunAnswer(socket) ? '' : answerTo(error))
  connections.cutSoon(socket)
}

function answerTo(error: NodeJS.ErrnoException): string {
  const status = statuses[error.code ?? '']
  const detail = `The request is not valid HTTP (${error.code ?? error.message}).`
  const problem =
    error.code === 'HPE_HEADER_OVERFLOW' ? headersTooLarge : new Problem('request-invalid', detail)
  const body = status ? '' : `${JSON.stringify(problem.body())}\n`
  const headers = [
    `HTTP/1.1 ${status ?? `${problem.status} ${STATUS_CODES[problem.status]}`}`,
    ...(body ? ['Content-Type: application/problem+json'] : []),
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  return `${headers.join('\r\n')}\r\n\r\n${body}`
}
