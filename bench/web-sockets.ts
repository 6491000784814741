import { WebSocket } from 'ws'
import type { Lab } from '../lab/start-lab.ts'

/** What the app says on each WebSocket when it is asked to stop. */
const goodbye = 'stopping'

/**
 * JavaScript that gives an app with a `server` and no packages a WebSocket at any path. The sockets
 * stay open until the client or the end of the program closes them.
 */
export const socketServer = `
import { createHash } from 'node:crypto'
const sockets = new Set()
server.on('upgrade', (request, socket) => {
  const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11' // RFC 6455, 1.3
  const key = createHash('sha1').update(request.headers['sec-websocket-key'] + guid).digest('base64')
  const head = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Accept: ' + key]
  socket.write(head.join('\\r\\n') + '\\r\\n\\r\\n')
  socket.on('error', () => {}).on('close', () => sockets.delete(socket)).resume()
  sockets.add(socket)
})
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, () => {
    const text = Buffer.from('${goodbye}')
    for (const socket of sockets) socket.write(Buffer.concat([Buffer.from([0x81, text.length]), text]))
  })
`

/** Times in milliseconds. Null: none was cut. */
export type SocketFacts = {
  open: number
  cut: number
  /** From the request for the deploy until the first and the last cut. */
  firstCutMs: number | null
  lastCutMs: number | null
  /** From the app's signal to stop until its socket was cut: the shortest and the longest. */
  shortestNoticeMs: number | null
  longestNoticeMs: number | null
  /** Cut without the app's word before. */
  unannounced: number
}

/** WebSockets that stay open and are never opened again. */
export class WebSockets {
  readonly #sockets: WebSocket[]
  readonly #cuts: { at: number; noticeMs: number | null }[] = []
  #since = performance.now()
  #isOver = false

  private constructor(sockets: WebSocket[]) {
    this.#sockets = sockets
    for (const socket of sockets) this.#follow(socket)
  }

  /** Opens this many through the lab's proxy. */
  static async open({ apps }: Pick<Lab, 'apps'>, app: string, count: number): Promise<WebSockets> {
    const { port } = new URL(apps)
    const headers = { host: `${app}.localhost:${port}` }
    const connect = () =>
      new Promise<WebSocket>((resolve, reject) => {
        const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers })
        socket.once('open', () => resolve(socket)).once('error', reject)
      })
    return new WebSockets(await Promise.all(Array.from({ length: count }, connect)))
  }

  /** Begins to count the time. */
  start(): void {
    this.#since = performance.now()
  }

  /** How many were cut so far. */
  get cut(): number {
    return this.#cuts.length
  }

  end(): SocketFacts {
    this.#isOver = true
    for (const socket of this.#sockets) socket.terminate()
    const times = this.#cuts.map(({ at }) => at - this.#since)
    const notices = this.#cuts.flatMap(({ noticeMs }) => noticeMs ?? [])
    const edge = (values: number[], most: typeof Math.max) =>
      values.length > 0 ? Math.round(most(...values)) : null
    return {
      open: this.#sockets.length,
      cut: times.length,
      firstCutMs: edge(times, Math.min),
      lastCutMs: edge(times, Math.max),
      shortestNoticeMs: edge(notices, Math.min),
      longestNoticeMs: edge(notices, Math.max),
      unannounced: times.length - notices.length,
    }
  }

  #follow(socket: WebSocket): void {
    let noticedAt: number | null = null
    socket.on('message', () => (noticedAt ??= performance.now()))
    socket.on('error', () => socket.terminate())
    socket.on('close', () => {
      const at = performance.now()
      if (!this.#isOver)
        this.#cuts.push({ at, noticeMs: noticedAt === null ? null : at - noticedAt })
    })
  }
}

/** The facts as a line for people. */
export function socketLine(facts: SocketFacts): string {
  const { open, cut, firstCutMs, lastCutMs, shortestNoticeMs, longestNoticeMs } = facts
  const seconds = (ms: number | null) => ((ms ?? 0) / 1000).toFixed(1)
  if (cut === 0) return `${open} WebSockets, none cut`
  const when = `${seconds(firstCutMs)} to ${seconds(lastCutMs)} s after the deploy was asked for`
  const notice =
    longestNoticeMs === null
      ? 'without notice'
      : `${seconds(shortestNoticeMs)} to ${seconds(longestNoticeMs)} s after the app got its stop signal`
  return `${open} WebSockets, ${cut} cut: ${when}, ${notice}`
}
