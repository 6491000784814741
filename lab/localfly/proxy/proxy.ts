import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TlsOptions } from 'node:tls'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FlyState } from '../state.ts'
import {
  type Answered,
  type Call,
  forward,
  isRepeatable,
  sendTo,
  upgradeTo,
  type Way,
} from './exchange.ts'
import { certificateFor } from './hostnames.ts'
import { ReplayBody } from './replay-body.ts'
import { type CacheStatus, ReplayCache } from './replay-cache.ts'
import {
  assertReplayable,
  type FailedReplay,
  fallbackTarget,
  maxReplays,
  type Replay,
  replayFailure,
  replayMs,
  replayOf,
  replaySource,
  replayTarget,
  transformed,
} from './replay.ts'
import { type Arrival, flycastTarget, peerTarget, publicTarget } from './target.ts'
import { Refusal, type Seat, type Target, Traffic, type Tries } from './traffic.ts'

export type ProxyOptions = {
  /** Serves machines on their own network instead of callers from outside. */
  flycast?: boolean
  /** Speaks TLS, with the imported certificate of the hostname that a caller asks for. */
  tls?: boolean
  /**
   * How long a replay without a timeout looks for a machine before it fails. About 7.5 s on Fly
   * (PageSpace spike, fly.md 7.3).
   */
  stallMs?: number
}

const connectMs = 5000
const stallMs = 7500
const againMs = 50

/**
 * Fly's proxy. `<app>.localhost` leads to the app's machines from outside, and `<app>.flycast` on
 * the network of the machines to the service on the port that was called. It skips a machine that
 * refuses the connection. It also skips one that breaks off before it answers, when the request can
 * be repeated. An answer that asks for a replay is not passed on: the request, or the upgrade to a
 * WebSocket, goes where it says.
 */
export function createProxy(state: FlyState, traffic: Traffic, options: ProxyOptions = {}) {
  const routes = new ProxyRoutes({ state, traffic, stallMs: options.stallMs ?? stallMs })
  const find = options.flycast ? flycastTarget : publicTarget

  const onRequest: RequestListener = (req, res) => {
    serve(req, res).catch((error: unknown) => refuse(res, error))
  }
  const SNICallback: TlsOptions['SNICallback'] = (name, done) => {
    const context = certificateFor(state, name)
    done(context ? null : new Error(`no certificate for ${name}`), context ?? undefined)
  }
  const server = options.tls ? createTlsServer({ SNICallback }, onRequest) : createServer(onRequest)
  const serve = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const gone = new AbortController()
    res.on('close', () => gone.abort())
    const call = callOf(req, new ReplayBody(req), gone.signal)
    const peer = options.flycast ? null : peerTarget(arrivalOf(req), state)
    const target = peer ? null : find(arrivalOf(req), state)
    if (!peer && !target) return void req.socket.destroy()
    const answered = peer ? await routes.direct(call, peer) : await routes.answer(call, target!)
    if (answered) sendTo(answered, res)
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
    const target = find(arrivalOf(req), state)
    if (!target) return void client.destroy()
    const answered = await routes.answer(callOf(req, null, signal), target)
    if (answered) upgradeTo(answered, client, head)
  }
  return server
}

const arrivalOf = ({ headers, socket }: IncomingMessage): Arrival => ({
  headers,
  port: socket.localPort,
  caller: socket.remoteAddress,
})

/** The ways of requests through the proxy. */
class ProxyRoutes {
  readonly #state: FlyState
  readonly #traffic: Traffic
  readonly #stallMs: number
  readonly #cache = new ReplayCache()

  constructor(parts: { state: FlyState; traffic: Traffic; stallMs: number }) {
    this.#state = parts.state
    this.#traffic = parts.traffic
    this.#stallMs = parts.stallMs
  }

  /** Goes to a machine past the proxy. */
  async direct(call: Call, machine: Seat['machine']): Promise<Answered> {
    const seat = this.#traffic.seatAt(machine)
    const socket = connect({ host: machine.private_ip, port: seat.port })
    const outcome = await forward(call, { seat, socket })
    if (outcome instanceof Error)
      throw new Refusal(502, `The machine broke off: ${outcome.message}.`)
    return outcome
  }

  /** Returns the answer of the machine that takes the request in the end; null: the caller left. */
  async answer(call: Call, first: Target): Promise<Answered | null> {
    const cached = this.#cache.find(call, this.#state.machinesOf(first.app))
    if (cached.target) {
      const hit = withHeader(call, 'fly-replay-cache-status', cached.status)
      const found = await this.#follow(hit, cached.target, cached.status).catch(
        (error: unknown) => {
          // The cached machine is gone. The app that chose it is still the source of truth.
          if (asRefusal(error).reason === null) throw error
        },
      )
      if (found !== undefined) return found
    }
    return this.#follow(call, first, cached.status)
  }

  /** Follows a request and its replays. */
  async #follow(call: Call, first: Target, status: CacheStatus): Promise<Answered | null> {
    let target = first
    let last: { replay: Replay; from: Seat['machine'] } | null = null
    let isFallback = false

    for (let replays = 0; ;) {
      const begun = performance.now()
      let met: { answered: Answered; from: Seat['machine'] }
      try {
        met = await this.#reach(call, target, last?.replay)
      } catch (error) {
        if (call.signal.aborted) return null
        const failed = last && { ...last, target, elapsedMs: performance.now() - begun }
        const fallback = failed && fallbackOf(failed, error)
        if (!fallback) throw error
        target = fallback.target
        call = withHeader(call, 'fly-replay-failed', fallback.header)
        last = null
        isFallback = true
        continue
      }
      const { answered, from } = met
      const replay = await replayOf(answered.answer)
      if (call.signal.aborted) {
        answered.answer.destroy()
        answered.socket?.destroy()
        return null
      }
      if (!replay) return answered
      answered.socket?.destroy() // a program that upgrades must not replay
      if (isFallback) throw new Refusal(502, 'PA03: a fallback request cannot be replayed.')
      if (++replays > maxReplays)
        throw new Refusal(502, `PA02: fly-replay was answered more than ${maxReplays} times.`)

      const next = replayTarget(replay, target, from)
      assertReplayable(next.app, from.own.app, this.#state)
      this.#cache.learn(call, { replay, target: next, from })
      await call.body?.whole()
      call = withHeader(
        { ...call, ...transformed(call, replay) },
        'fly-replay-src',
        replaySource(from, replay),
      )
      call = withHeader(call, 'fly-replay-cache-status', status === 'bypass' ? 'bypass' : 'miss')
      target = next
      last = { replay, from }
    }
  }

  /** Finds a machine and sends it the request; for a replay as long as Fly tries. */
  async #reach(call: Call, target: Target, replay: Replay | undefined) {
    const limitMs = replay ? replayMs(replay) : null
    const stalls = replay ? performance.now() + (limitMs ?? this.#stallMs) : 0
    for (;;)
      try {
        return await within(limitMs, call.signal, (signal) => this.#send(call, target, signal))
      } catch (error) {
        const { reason } = asRefusal(error)
        if (!replay || reason !== 'no_candidate') throw error
        if (performance.now() >= stalls) throw new Refusal(502, asRefusal(error).message, reason)
        await sleep(againMs, undefined, { signal: call.signal })
      }
  }

  async #send(call: Call, target: Target, signal: AbortSignal) {
    const tries = Traffic.tries()
    for (;;) {
      const way = await this.#connect(target, tries, signal)
      const { machine } = way.seat
      const isOther = target.prefer !== null && machine.id !== target.prefer
      const sent = isOther
        ? withHeader(call, 'fly-preferred-instance-unavailable', target.prefer!)
        : call
      const outcome = await forward(sent, way)
      call.signal.throwIfAborted()
      if (!(outcome instanceof Error)) {
        this.#traffic.noteResponse(machine, outcome.answer.statusCode ?? 502)
        return { answered: outcome, from: machine }
      }
      if (tries.broke || !isRepeatable(call))
        throw new Refusal(502, `The machine broke off: ${outcome.message}.`, 'retries_exhausted')
      tries.broke = true
      pass(tries, way.seat, `broke off before it answered (${outcome.message})`)
    }
  }

  async #connect(target: Target, tries: Tries, signal: AbortSignal): Promise<Way> {
    for (;;) {
      const seat = await this.#traffic.take(target, tries, signal)
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
    throw limit.aborted
      ? new Refusal(502, `The replay found no machine within ${ms} ms.`, 'timeout')
      : error
  })
}

/** Where a failed replay falls back to, and what the machine there learns of it. */
function fallbackOf(failed: Omit<FailedReplay, 'reason'>, error: unknown) {
  const { reason } = asRefusal(error)
  if (reason === null) return null
  const target = fallbackTarget({ ...failed, reason })
  return target && { target, header: replayFailure({ ...failed, reason }) }
}

const withHeader = (call: Call, name: string, value: string): Call => ({
  ...call,
  headers: { ...call.headers, [name]: value },
})

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

/** A request with the headers that Fly's proxy adds. */
function callOf(req: IncomingMessage, body: ReplayBody | null, signal: AbortSignal): Call {
  const client = req.socket.remoteAddress ?? ''
  const before = req.headers['x-forwarded-for']
  const headers = {
    ...req.headers,
    'x-forwarded-for': before ? `${String(before)}, ${client}` : client,
    'x-forwarded-proto': 'encrypted' in req.socket ? 'https' : 'http',
    'fly-client-ip': client,
    'fly-request-id': randomUUID(),
    'fly-region': 'lab',
  }
  return { method: req.method ?? 'GET', url: req.url ?? '/', headers, body, signal }
}
