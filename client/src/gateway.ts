import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { StreamMessage } from '#api/event-stream.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import {
  type DeploymentRecord,
  isKnownMessage,
  linesOf,
  readProblem,
  readRecord,
  readRecords,
  tokenRefused,
  unreachable,
  withPause,
} from './answers.ts'
import type { TokenSource } from './connection.ts'
import { type Answer, sendBody, type Sending } from './sending/send-body.ts'

const answerMs = 30_000
const askMs = 600_000
/** The gateway gives it no more time. */
const downloadMs = 3_600_000
const silenceMs = 45_000 // three heartbeats
const againMs = 1000

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
export type Exchange = {
  path: string
  query?: URLSearchParams
  method?: Method | 'HEAD'
  headers: Record<string, string>
  accepted: number[]
}

/** The gateway's API as methods. Refusals and connection failures are Problems. */
export class Gateway {
  readonly #base: string
  readonly #token: string | TokenSource
  #hasToken = false

  constructor(address: URL, token: string | TokenSource) {
    this.#base = address.href.replace(/\/$/, '')
    this.#token = token
  }

  recordUrl(id: string): string {
    return this.#base + fill(routes.deployment, { id })
  }

  /** The gateway and its address, as a name for what a computer knows of it. */
  get address(): string {
    return this.#base
  }

  /** Sends a body. Resolves with the answer if its status is one of `accepted`. */
  async exchange(
    { path, query = new URLSearchParams(), method = 'POST', headers, accepted }: Exchange,
    sending: Sending,
    signal: AbortSignal,
  ): Promise<Answer> {
    const url = this.#url(path, query)
    // An error while packing is the cause of the connection error that follows.
    let packing: unknown
    sending.body.once('error', (error) => (packing = error))
    try {
      const all = { ...(await this.#authorization()), ...headers }
      const answer = await sendBody({ url, method, headers: all }, sending, signal)
      if (accepted.includes(answer.status)) return answer
      throw withPause(this.#refusal(url, answer.status, answer.text), answer)
    } catch (error) {
      if (packing instanceof Problem) throw packing
      throw error instanceof Problem || signal.aborted ? error : unreachable(url, packing ?? error)
    }
  }

  /** The deployment that the request with this key made. Null: it made none. */
  async findByKey(app: string, key: string): Promise<DeploymentRecord | null> {
    const url = this.#url(fill(routes.deployments, { app }), new URLSearchParams({ key }))
    const response = await this.#fetch(url, { signal: AbortSignal.timeout(answerMs) })
    return readRecords(url, await response.text())[0] ?? null
  }

  async find(id: string, signal: AbortSignal): Promise<DeploymentRecord> {
    const url = new URL(this.recordUrl(id))
    const response = await this.#fetch(url, {
      headers: { Accept: 'application/json' },
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerMs)]),
    })
    return readRecord(url, await response.text())
  }

  /** Requests the cancel of a deployment, in the name that the gateway knows the caller by. The returned record may not be in its final state yet. */
  cancel(
    id: string,
    { why, abort }: { why: string | null; abort: boolean },
  ): Promise<DeploymentRecord> {
    const query = new URLSearchParams({ ...(why && { why }), abort: String(abort) })
    return this.#post(fill(routes.cancel, { id }), query)
  }

  retry(id: string, how: URLSearchParams): Promise<DeploymentRecord> {
    return this.#post(fill(routes.retry, { id }), how)
  }

  /** Deploys an image that exists. With the same key nothing is made twice. */
  deployImage(app: string, body: object, key: string): Promise<DeploymentRecord> {
    return this.#post(fill(routes.deployments, { app }), new URLSearchParams(), { body, key })
  }

  /** Uploads nothing: the gateway has the image. */
  rollBack(app: string, query: URLSearchParams): Promise<DeploymentRecord> {
    return this.#post(fill(routes.rollback, { app }), query)
  }

  /** The JSON that the gateway answers. It may take long: a removal waits for the disk. */
  async ask(method: Method, path: string, signal: AbortSignal, body?: object): Promise<unknown> {
    const url = this.#url(path, new URLSearchParams())
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(askMs)])
    const sent = body && { headers: json, body: JSON.stringify(body) }
    return (await this.#fetch(url, { method, signal: deadline, ...sent })).json()
  }

  /** As `ask`, for a request that makes something: it makes one, also where an answer is lost. */
  async create(path: string, signal: AbortSignal, body: object): Promise<unknown> {
    const url = this.#url(path, new URLSearchParams())
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(askMs)])
    const headers = { ...json, 'Idempotency-Key': randomUUID() }
    const sent = { method: 'POST', headers, body: JSON.stringify(body), signal: deadline }
    return (await twice(() => this.#fetch(url, sent), deadline)).json()
  }

  /** A file of the gateway, as it arrives. `name`: null if the gateway gives none. */
  async download(
    path: string,
    signal: AbortSignal,
  ): Promise<{ body: AsyncIterable<Uint8Array>; name: string | null }> {
    const url = this.#url(path, new URLSearchParams())
    const limit = AbortSignal.any([signal, AbortSignal.timeout(downloadMs)])
    const { headers, body } = await this.#fetch(url, { signal: limit })
    const name = /filename="([\w.-]+)"/.exec(headers.get('content-disposition') ?? '')?.[1]
    return { body: body!, name: name ?? null }
  }

  /**
   * Yields the log after number `after`: all of it, or `only` some types. Ends or throws when the
   * connection does. An `end` message says that the log is complete.
   */
  async *events(
    id: string,
    after: number,
    only: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<StreamMessage, void> {
    const query = new URLSearchParams({ after: String(after), ...(only && { only }) })
    const url = this.#url(fill(routes.events, { id }), query)
    const silence = new AbortController()
    const watch = setTimeout(
      () => silence.abort(new Error('the connection went silent')),
      silenceMs,
    )

    try {
      const response = await this.#fetch(url, {
        headers: { Accept: 'application/x-ndjson' },
        signal: AbortSignal.any([signal, silence.signal]),
      })
      const chunks = response.body!.pipeThrough(new TextDecoderStream())
      for await (const line of linesOf(chunks, () => watch.refresh())) {
        const message: unknown = JSON.parse(line)
        if (isKnownMessage(message)) yield message
      }
    } finally {
      clearTimeout(watch)
      silence.abort()
    }
  }

  /** `path` may have a query of its own; then `query` is empty. */
  #url(path: string, query: URLSearchParams): URL {
    const text = query.toString()
    return new URL(`${this.#base}${path}${text && `?${text}`}`)
  }

  async #post(
    path: string,
    query: URLSearchParams,
    { body, key = randomUUID() }: { body?: object; key?: string } = {},
  ): Promise<DeploymentRecord> {
    const url = this.#url(path, query)
    const headers = { 'Idempotency-Key': key, ...(body && json) }
    const sent = { method: 'POST', headers, ...(body && { body: JSON.stringify(body) }) }
    const send = () => this.#fetch(url, { ...sent, signal: AbortSignal.timeout(answerMs) })
    const response = await twice(send)
    return readRecord(url, await response.text())
  }

  /** The problem in an answer. About the token it says what a user of the client can do. */
  #refusal(url: URL, status: number, answer: string): Problem {
    const problem = readProblem(url, status, answer)
    if (problem.code !== 'unauthorized') return problem
    return tokenRefused(url, this.#hasToken)
  }

  async #authorization(): Promise<Record<string, string>> {
    const token = typeof this.#token === 'string' ? this.#token : await this.#token.token()
    this.#hasToken = token !== ''
    return token ? { Authorization: `Bearer ${token}` } : {}
  }

  async #fetch(
    url: URL,
    init: { method?: string; headers?: Record<string, string>; body?: string; signal: AbortSignal },
  ): Promise<Response> {
    const response = await fetch(url, {
      ...init,
      headers: { ...(await this.#authorization()), ...init.headers },
    }).catch((error: unknown) => {
      throw unreachable(url, error)
    })
    if (!response.ok) throw this.#refusal(url, response.status, await response.text())
    return response
  }
}

const json = { 'Content-Type': 'application/json' }

/** Sends a request again if the connection broke. With the same key nothing is made twice. */
async function twice(send: () => Promise<Response>, signal?: AbortSignal): Promise<Response> {
  return send().catch(async (error: unknown) => {
    if (!(error instanceof Problem) || error.cause === undefined) throw error
    await sleep(againMs, undefined, { signal })
    return send()
  })
}
