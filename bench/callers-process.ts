import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Reads at a fixed rate in a process of its own, so that the load is not slowed by what it measures.
 * It uses plain sockets, which cost less than the measured work. The time of a read is from the
 * moment when it was due, whether or not an earlier answer was late.
 */
export type ReadOrder = {
  port: number
  path: string
  rate: number
  seconds: number
  /** Reads of each kind take turns. Each is by a random one of its tokens. */
  tokens: { one?: string[]; many?: string[] }
}
/** Times in milliseconds, of each kind. */
export type ReadTimes = { one: number[]; many: number[]; failures: string[]; sentPerSecond: number }

type Kind = 'one' | 'many'
const connections = 100

async function open(port: number): Promise<Reader[]> {
  const readers = Array.from({ length: connections }, () => new Reader(port))
  await Promise.all(readers.map((reader) => reader.connect()))
  return readers
}

async function readAll({ path, rate, seconds, tokens }: ReadOrder): Promise<ReadTimes> {
  const found: ReadTimes = { one: [], many: [], failures: [], sentPerSecond: 0 }
  const kinds = (['one', 'many'] as const).filter((kind) => tokens[kind])
  const idle = [...sockets]
  const due: { at: number; kind: Kind }[] = []
  const send = () => {
    while (due.length > 0 && idle.length > 0) {
      const { at, kind } = due.shift()!
      const known = tokens[kind]!
      const token = known[Math.floor(Math.random() * known.length)]!
      const reader = idle.shift()!
      void reader.read(path, token, (status) => {
        if (status === 200) found[kind].push(performance.now() - at)
        else found.failures.push(`status ${status}`)
        idle.push(reader)
        send()
      })
    }
  }
  const start = performance.now()
  const total = Math.round(rate * seconds)
  for (let sent = 0; sent < total;) {
    const passed = ((performance.now() - start) / 1000) * rate
    for (; sent < Math.min(passed, total); sent++)
      due.push({ at: start + (sent / rate) * 1000, kind: kinds[sent % kinds.length]! })
    send()
    await sleep(1)
  }
  found.sentPerSecond = Math.round((total / (performance.now() - start)) * 1000)
  // All have been answered.
  while (idle.length < sockets.length || due.length > 0) await sleep(5)
  return found
}

/** One connection, with one request at a time. */
class Reader {
  readonly #port: number
  #socket: Socket | null = null
  #got = ''
  #done: (status: number) => void = () => {}

  constructor(port: number) {
    this.#port = port
  }

  async connect(): Promise<Socket> {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    this.#socket = socket
    socket.setEncoding('latin1').on('data', (text) => this.#take(String(text)))
    socket.on('error', () => this.#end(0)).on('close', () => this.#end(0))
    return socket
  }

  /** The gateway closes a connection that is idle for a while. */
  async read(path: string, token: string, done: (status: number) => void): Promise<void> {
    this.#got = ''
    this.#done = done
    const socket = this.#socket?.writable ? this.#socket : await this.connect()
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`)
  }

  #take(text: string): void {
    this.#got += text
    const head = this.#got.indexOf('\r\n\r\n')
    if (head < 0) return
    const length = Number(/\ncontent-length: (\d+)/i.exec(this.#got)?.[1])
    if (this.#got.length >= head + 4 + length) this.#end(Number(this.#got.slice(9, 12)))
  }

  #end(status: number): void {
    const done = this.#done
    this.#done = () => {}
    done(status)
  }
}

const sockets = await new Promise<Reader[]>((resolve) => {
  process.once('message', ({ port }: { port: number }) => resolve(open(port)))
})
process.send!('connected')
process.on(
  'message',
  (order: ReadOrder) => void readAll(order).then((found) => process.send!(found)),
)
