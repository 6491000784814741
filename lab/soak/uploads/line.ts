import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../random.ts'
import { authorization, type World } from './world.ts'

type Request = { method: string; path: string; headers?: Record<string, string>; body?: Buffer }
/** `status` 0: the line broke before the answer. */
export type Answer = { status: number; headers: Record<string, unknown>; body: any }

const callMs = 60_000
const pieceBytes = 64 * 1024

/** Lines to the gateway that break at random, by one sender. */
export class Line {
  readonly #world: World
  readonly #random: Random
  readonly #cutShare: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 })
  readonly #hanging = new Set<Socket>()
  cuts = 0

  constructor(world: World, random: Random, cutShare: number) {
    this.#world = world
    this.#random = random
    this.#cutShare = cutShare
  }

  /** Sends one request. A body may break off at a random byte. */
  async send({ method, path, headers = {}, body }: Request): Promise<Answer> {
    const { url } = this.#world.gateway
    const { promise, resolve } = Promise.withResolvers<Answer>()
    const gone = () => resolve({ status: 0, headers: {}, body: null })
    const isChunked = 'transfer-encoding' in headers
    const sized = body && !isChunked ? { 'content-length': String(body.length) } : {}
    const asked = request(url + path, {
      method,
      headers: { ...authorization, ...sized, ...headers },
      agent: this.#agent,
      signal: AbortSignal.timeout(callMs),
    })
    asked.setMaxListeners(0) // each wait for room adds some
    asked.on('error', gone)
    asked.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => (text += String(part)))
      response.on('error', gone)
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: /^[{[]/.test(text) ? JSON.parse(text) : text,
        }),
      )
    })
    const cut = body && this.#random.fraction() < this.#cutShare
    if (!cut) asked.end(body)
    else await this.#breakOff(asked, body)
    return promise
  }

  json(method: string, path: string, body: object, more: Record<string, string> = {}) {
    const bytes = Buffer.from(JSON.stringify(body))
    const headers = { 'content-type': 'application/json', ...more }
    return this.send({ method, path, headers, body: bytes })
  }

  /** Sends these bytes, and leaves the line open without a word. */
  async hang(bytes: Buffer): Promise<void> {
    const { hostname, port } = new URL(this.#world.gateway.url)
    const socket = connect(Number(port), hostname)
    this.#hanging.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => this.#hanging.delete(socket))
    await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => {})
    socket.write(bytes)
  }

  /** Waits a little, as a client does before it tries again. */
  async pause(): Promise<void> {
    await sleep(50 + this.#random.upTo(200))
    await this.#world.gateway.up.catch(() => {})
  }

  close(): void {
    this.#agent.destroy()
    for (const socket of this.#hanging) socket.destroy()
  }

  async #breakOff(asked: ReturnType<typeof request>, body: Buffer): Promise<void> {
    this.cuts++
    const end = this.#random.upTo(Math.max(0, body.length - 1))
    for (let at = 0; at < end; at += pieceBytes) {
      const hasRoom = asked.write(body.subarray(at, Math.min(end, at + pieceBytes)))
      if (asked.destroyed) break // its gateway was killed: neither event comes any more
      if (!hasRoom) await Promise.race([once(asked, 'drain'), once(asked, 'close')]).catch(() => {})
    }
    await sleep(this.#random.upTo(30))
    asked.destroy()
  }
}
