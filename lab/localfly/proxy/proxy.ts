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
import {
  maxReplays,
  readReplay,
  ReplayBody,
  replayMs,
  replaySource,
  replayTarget,
} from './replay.ts'
import type { FlyState } from '../state.ts'
import { Refusal, type Seat, type Target, Traffic, type Tries } from './traffic.ts'

type Way = { seat: Seat; socket: Socket }

const connectMs = 5000

/**
 * Fly's proxy. `<app>.localhost` leads to the app's machines, and `<owner>.<app>.localhost` to
 * those whose metadata `tarmac_owner` is that owner. On the network of the machines, `<app>.flycast`
 * leads to the service on the port that was called. It skips a machine that refuses the connection.
 * It also skips one that breaks off before it answers, when the request can be repeated. An answer
 * with `fly-replay` is not passed on: the request goes where it says.
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
    let target = targetOf(req, state)
    let tries = Traffic.tries()
    const call = { req, res, headers: emit(req), body: new ReplayBody(req) }
    const gone = new AbortController()
    res.on('close', () => gone.abort())
    let limitMs: number | null = null
    for (let replays = 0; ;) {
      const way = await within(limitMs, gone.signal, (signal) => reach(target, tries, signal))
      const outcome = await forward(call, way)
      if (outcome === null || gone.signal.aborted) return
      if (outcome instanceof Error) {
        if (tries.broke || !isRepeatable(req))
          throw new Refusal(502, `The machine broke off: ${outcome.message}.`)
        tries.broke = true
        pass(tries, way.seat, `broke off before it answered (${outcome.message})`)
        continue
      }
      if (++replays > maxReplays)
        throw new Refusal(502, `PA02: fly-replay was answered more than ${maxReplays} times.`)
      const replay = readReplay(outcome.replay)
      const { machine } = way.seat
      target = replayTarget(replay, target, machine)
      assertReplayable(target.app, machine.own.app, state)
      await call.body.whole()
      call.headers = { ...call.headers, 'fly-replay-src': replaySource(machine, replay) }
      tries = Traffic.tries()
      limitMs = replayMs(replay)
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

type Call = {
  req: IncomingMessage
  res: ServerResponse
  headers: IncomingMessage['headers']
  body: ReplayBody
}

/** Resolves with null once the machine has answered, with why it did not, or with its replay. */
function forward(
  { req, res, headers: own, body }: Call,
  { seat, socket }: Way,
): Promise<Error | { replay: string } | null> {
  return new Promise((resolve) => {
    const headers = { ...own, connection: 'close' }
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
      const replay = answer.headers['fly-replay']
      if (replay !== undefined) {
        answer.resume()
        return resolve({ replay: String(replay) })
      }
      res.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.on('error', () => res.destroy())
      answer.pipe(res)
      resolve(null)
    })
    call.on('error', resolve)
    if (isRepeatable(req)) call.end()
    else body.sendTo(call)
  })
}

/** Gives up the search for a machine after a time, if there is one. */
async function within<T>(
  ms: number | null,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (ms === null) return work(signal)
  const limit = AbortSignal.timeout(ms)
  return work(AbortSignal.any([signal, limit])).catch((error: unknown) => {
    throw limit.aborted ? new Refusal(502, `The replay found no machine within ${ms} ms.`) : error
  })
}

function assertReplayable(app: string, from: string, { apps }: FlyState): void {
  const target = apps.get(app)
  if (!target) throw new Refusal(502, `PA04: replay target app not found: ${app}.`)
  if (target.org_slug !== apps.get(from)?.org_slug)
    throw new Refusal(502, `PA05: unauthorized replay target app: ${app}.`)
}

/** True without a body and with a method that may be repeated. */
function isRepeatable({ method = '', headers }: IncomingMessage): boolean {
  const bodyless =
    headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0
  return bodyless && ['GET', 'HEAD', 'OPTIONS', 'DELETE'].includes(method)
}

function targetOf({ headers, socket }: IncomingMessage, state: FlyState): Target {
  const { host = '' } = headers
  const [, owner = null, app, domain] =
    /^(?:([^.:]+)\.)?([^.:]+)\.(localhost|flycast)(?::\d+)?$/i.exec(host) ?? []
  if (!app) throw new Refusal(404, `No app is named by the host "${host}": use <app>.localhost.`)
  if (!state.apps.has(app)) throw new Refusal(404, `There is no app "${app}".`)
  const header = (name: string) => headers[`fly-${name}`]?.toString()
  const force = header('force-region')?.split(',')
  const prefer = header('prefer-region')?.split(',')
  return {
    app,
    owner: owner?.toLowerCase() ?? null,
    instance: header('force-instance-id') ?? null,
    prefer: header('prefer-instance-id') ?? null,
    avoid: null,
    regions: force ?? (prefer ? [...prefer, 'any'] : []),
    port: domain?.toLowerCase() === 'flycast' ? (socket.localPort ?? null) : null,
  }
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
