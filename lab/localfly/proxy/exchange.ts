import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ReplayBody } from './replay-body.ts'
import type { Seat } from './traffic.ts'

/** A connection to a machine, and the slot there. */
export type Way = { seat: Seat; socket: Socket }

/** A request on its way. Without a body it asks for an upgrade, as to a WebSocket. */
export type Call = {
  method: string
  url: string
  headers: IncomingHttpHeaders
  body: ReplayBody | null
  /** Aborts when the caller leaves. */
  signal: AbortSignal
}

/** A machine's answer. `socket`: the machine agreed to the upgrade. */
export type Answered = { answer: IncomingMessage; socket?: Duplex; head?: Buffer }

/** Sends a request to a machine. Resolves with its answer, or with why there is none. */
export function forward(call: Call, { seat, socket }: Way): Promise<Error | Answered> {
  const { method, url: path, signal, body } = call
  const headers = body === null ? call.headers : { ...call.headers, connection: 'close' }
  return new Promise((resolve) => {
    const sent = request({ createConnection: () => socket, method, path, headers })
    const leave = () => sent.destroy()
    signal.addEventListener('abort', leave)
    sent.on('close', () => {
      signal.removeEventListener('abort', leave)
      if (!isUpgraded) seat.release()
    })
    let isUpgraded = false
    sent.on('upgrade', (answer, upgraded, head) => {
      isUpgraded = true
      upgraded.on('close', () => seat.release()).on('error', () => upgraded.destroy())
      resolve({ answer, socket: upgraded, head })
    })
    sent.on('response', (answer) => resolve({ answer }))
    sent.on('error', resolve)
    if (body === null || isRepeatable(call)) sent.end()
    else body.sendTo(sent)
  })
}

/** True without a body and with a method that may be repeated. */
export function isRepeatable({ method, headers, body }: Call): boolean {
  if (body === null) return true
  const bodyless =
    headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0
  return bodyless && ['GET', 'HEAD', 'OPTIONS', 'DELETE'].includes(method)
}

export function sendTo({ answer }: Answered, res: ServerResponse): void {
  res.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
  answer.on('error', () => res.destroy())
  answer.pipe(res)
}

/** Joins the caller with the machine, or passes on an answer that is no upgrade. */
export function upgradeTo({ answer, socket, head }: Answered, client: Duplex, early: Buffer): void {
  const lines = answer.rawHeaders.flatMap((name, at, all) =>
    at % 2 === 1 || (!socket && /^(?:transfer-encoding|connection)$/i.test(name))
      ? []
      : `${name}: ${all[at + 1]}\r\n`,
  )
  const close = socket ? '' : 'connection: close\r\n'
  client.write(
    `HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\n${lines.join('')}${close}\r\n`,
  )
  if (!socket) return void answer.on('error', () => client.destroy()).pipe(client)
  client.write(head ?? '')
  socket.write(early)
  socket.on('close', () => client.destroy())
  client.on('close', () => socket.destroy())
  client.pipe(socket).pipe(client)
}
