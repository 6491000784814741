import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FlyState } from './state.ts'
import { Refusal, type Seat, type Target, Traffic, type Tries } from './traffic.ts'

type Way = { seat: Seat; socket: Socket }

const connectMs = 5000

/**
 * Fly's proxy. `<app>.localhost` leads to the app's machines, and `<owner>.<app>.localhost` to
 * those whose metadata `tarmac_owner` is that owner. It skips a machine that refuses the
 * connection. It also skips one that breaks off before it answers, when the request can be
 * repeated.
 */
export function createProxy(state: FlyState, traffic: Traffic): Server {
  const reach = async (target: Target, tries: Tries, signal: AbortSignal): Promise<Way> => {
    for (;;) {
      const seat = await traffic.take(target, tries, signal)
      const { machine, port } = seat
      const socket = connect({ host: machine.private_ip, port })
      try {
        await once(socket, 'connect', {
          signal: AbortSignal.any([signal, AbortSignal.timeout(connectMs)]),
        })
        return { seat, socket }
      } catch {
        socket.destroy()
        seat.release()
        pass(tries, seat, `does not answer on port ${port}; does it listen on 0.0.0.0:${port}?`)
      }
    }
  }

  const server = createServer((req, res) => {
    serve(req, res).catch((error: unknown) => refuse(res, error))
  })
  const serve = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const target = targetOf(req, state)
    const tries = Traffic.tries()
    const gone = new AbortController()
    res.on('close', () => gone.abort())
    for (;;) {
      const way = await reach(target, tries, gone.signal)
      const error = await forward(req, res, way)
      if (!error || gone.signal.aborted) return
      if (tries.broke || !isRepeatable(req))
        throw new Refusal(502, `The machine broke off: ${error.message}.`)
      tries.broke = true
      pass(tries, way.seat, `broke off before it answered (${error.message})`)
    }
  }
  server.on('upgrade', (req: IncomingMessage, client: Duplex, head: Buffer) => {
    const gone = new AbortController()
    client.on('error', () => client.destroy()).on('close', () => gone.abort())
    upgrade(req, client, head, gone.signal).catch((error: unknown) => {
      const { status, message } = asRefusal(error)
      client.end(
        `HTTP/1.1 ${status} Refused\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n${message}\n`,
      )
    })
  })
  const upgrade = async (
    req: IncomingMessage,
    client: Duplex,
    head: Buffer,
    signal: AbortSignal,
  ): Promise<void> => {
    const { seat, socket } = await reach(targetOf(req, state), Traffic.tries(), signal)
    const lines = Object.entries(emit(req)).flatMap(([name, value]) =>
      [value ?? []].flat().map((each) => `${name}: ${each}\r\n`),
    )
    socket.on('error', () => client.destroy()).on('close', () => (client.destroy(), seat.release()))
    socket.write(`${req.method} ${req.url} HTTP/1.1\r\n${lines.join('')}\r\n`)
    socket.write(head)
    signal.addEventListener('abort', () => socket.destroy())
    client.pipe(socket).pipe(client)
  }
  return server
}

/** Resolves once the machine has answered, or with the reason why it did not. */
function forward(
  req: IncomingMessage,
  res: ServerResponse,
  { seat, socket }: Way,
): Promise<Error | null> {
  return new Promise((resolve) => {
    const headers = { ...emit(req), connection: 'close' }
    const call = request({
      createConnection: () => socket,
      method: req.method,
      path: req.url,
      headers,
    })
    const leave = () => call.destroy()
    res.on('close', leave)
    call.on('close', () => (res.off('close', leave), seat.release()))
    call.on('response', (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.on('error', () => res.destroy())
      answer.pipe(res)
      resolve(null)
    })
    call.on('error', resolve)
    if (isRepeatable(req)) call.end()
    else req.pipe(call)
  })
}

/** True without a body and with a method that may be repeated. */
function isRepeatable({ method = '', headers }: IncomingMessage): boolean {
  const bodyless =
    headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0
  return bodyless && ['GET', 'HEAD', 'OPTIONS', 'DELETE'].includes(method)
}

function targetOf({ headers }: IncomingMessage, state: FlyState): Target {
  const { host = '' } = headers
  const [, owner = null, app] = /^(?:([^.:]+)\.)?([^.:]+)\.localhost(?::\d+)?$/i.exec(host) ?? []
  if (!app) throw new Refusal(404, `No app is named by the host "${host}": use <app>.localhost.`)
  if (!state.apps.has(app)) throw new Refusal(404, `There is no app "${app}".`)
  const instance = headers['fly-force-instance-id']?.toString() ?? null
  return { app, owner: owner?.toLowerCase() ?? null, instance }
}

function pass(tries: Tries, { machine }: Seat, why: string): void {
  tries.passed.add(machine.id)
  const words = ` ${machine.id} ${why}`
  if (!tries.said.includes(words)) tries.said += words
}

const asRefusal = (error: unknown): Refusal =>
  error instanceof Refusal ? error : new Refusal(500, String(error))

function refuse(res: ServerResponse, error: unknown): void {
  const { status, message } = asRefusal(error)
  if (res.headersSent) return void res.destroy()
  res.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' })
  res.end(`${message}\n`)
}

/** The request's headers and those that Fly's proxy adds. */
function emit(req: IncomingMessage): IncomingMessage['headers'] {
  const client = req.socket.remoteAddress ?? ''
  const before = req.headers['x-forwarded-for']
  return {
    ...req.headers,
    'x-forwarded-for': before ? `${String(before)}, ${client}` : client,
    'x-forwarded-proto': 'http',
    'fly-client-ip': client,
    'fly-request-id': randomUUID(),
    'fly-region': 'lab',
  }
}
