import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FlyState, Machine } from './state.ts'

type Way = { machine: Machine; port: number; socket: Socket }

const connectMs = 5000

/** Fly's proxy: `<app>.localhost` leads to the app's machines in turn, those that run, are not cordoned and pass their checks. */
export function createProxy(state: FlyState): Server {
  let turn = 0

  const find = async (req: IncomingMessage): Promise<Way> => {
    const app = /^([^.:]+)\.localhost(?::\d+)?$/.exec(req.headers.host ?? '')?.[1]
    if (!app) throw new Refusal(404, `No app is named by the host "${req.headers.host}": use <app>.localhost.`)
    if (!state.apps.has(app)) throw new Refusal(404, `There is no app "${app}".`)
    const able = state.machinesOf(app).filter(isRoutable)
    if (able.length === 0) throw new Refusal(503, `No machine of "${app}" can take requests: ${reasons(state, app)}.`)
    const first = turn++
    let refused = ''
    for (let i = 0; i < able.length; i++) {
      const machine = able[(first + i) % able.length]!
      const port = portOf(machine)!
      const socket = connect({ host: machine.private_ip, port })
      try {
        await once(socket, 'connect', { signal: AbortSignal.timeout(connectMs) })
        return { machine, port, socket }
      } catch {
        socket.destroy()
        refused += ` ${machine.id} does not answer on port ${port}; does it listen on 0.0.0.0:${port}?`
      }
    }
    throw new Refusal(502, `No machine of "${app}" could be reached:${refused}`)
  }

  const server = createServer((req, res) => void serve(req, res))
  const serve = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    try {
      const { socket } = await find(req)
      const headers = { ...tell(req), connection: 'close' }
      const call = request({ createConnection: () => socket, method: req.method, path: req.url, headers })
      res.on('close', () => call.destroy())
      call.on('response', (answer) => {
        res.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
        answer.on('error', () => res.destroy())
        answer.pipe(res)
      })
      call.on('error', (error) => refuse(res, new Refusal(502, `The machine broke off: ${error.message}.`)))
      req.pipe(call)
    } catch (error) {
      refuse(res, error)
    }
  }
  server.on('upgrade', (req: IncomingMessage, client: Duplex, head: Buffer) => {
    client.on('error', () => client.destroy())
    find(req).then(
      ({ socket }) => {
        const lines = Object.entries(tell(req)).flatMap(([name, value]) =>
          [value ?? []].flat().map((each) => `${name}: ${each}\r\n`),
        )
        socket.write(`${req.method} ${req.url} HTTP/1.1\r\n${lines.join('')}\r\n`)
        socket.write(head)
        socket.on('error', () => client.destroy()).on('close', () => client.destroy())
        client.on('close', () => socket.destroy())
        client.pipe(socket).pipe(client)
      },
      (error: unknown) => {
        const { status, message } = asRefusal(error)
        client.end(`HTTP/1.1 ${status} Refused\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n${message}\n`)
      },
    )
  })
  return server
}

class Refusal extends Error {
  readonly status: number
  constructor(status: number, text: string) {
    super(text)
    this.status = status
  }
}

const asRefusal = (error: unknown): Refusal => (error instanceof Refusal ? error : new Refusal(500, String(error)))

function refuse(res: ServerResponse, error: unknown): void {
  const { status, message } = asRefusal(error)
  if (res.headersSent) return void res.destroy()
  res.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' })
  res.end(`${message}\n`)
}

/** The port behind the service that speaks HTTP, or the first service's. */
function portOf({ config }: Machine): number | undefined {
  const services = config.services ?? []
  const http = services.find(({ ports }) => ports?.some(({ handlers }) => handlers?.includes('http')))
  return (http ?? services[0])?.internal_port
}

function isRoutable(machine: Machine): boolean {
  return whyNot(machine) === null
}

function whyNot(machine: Machine): string | null {
  if (machine.state !== 'started') return machine.state
  if (machine.cordoned) return 'cordoned'
  if (portOf(machine) === undefined) return 'without a service'
  const failing = machine.checks.find(({ name, status }) => name.startsWith('servicecheck-') && status === 'critical')
  return failing ? `failing ${failing.name} (${failing.output})` : null
}

function reasons(state: FlyState, app: string): string {
  const machines = state.machinesOf(app)
  return machines.length === 0
    ? 'it has none'
    : machines.map((machine) => `${machine.id} is ${whyNot(machine)}`).join(', ')
}

/** The request's headers and those that Fly's proxy adds. */
function tell(req: IncomingMessage): IncomingMessage['headers'] {
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
