import { z } from 'zod'
import { errorCode } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { trimEnd } from '#api/text/trim-end.ts'
import { pause, retry, unlessAborted } from '#api/flow/retry.ts'
import { type Api, machinesApi } from './endpoints/fly-apis.ts'
import { RequestBudget } from './request-budget.ts'
import { fetchTransport, type Transport } from './transport.ts'

export const maxAttempts = 5
/** How long Fly may take to create or update a machine: it pulls a large image. */
export const createMs = 120_000
const answerMs = 30_000
const readMs = 300_000 // with many callers, its turn may come late

type Request = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  path: string
  /** With `id`: what Fly limits the rate of. */
  action: string
  id: string
  body?: object | undefined
  nonce?: string | undefined
  answerMs?: number
  /** `no`: repeat the call only if it certainly had no effect. */
  repeat?: 'yes' | 'no'
  /** The answer is text, not JSON. */
  isText?: boolean
}
type Call<T> = Request & { answer: z.ZodType<T> }

/** `transport`: default is `fetch`. Whoever makes the calls' object disposes of it. */
export type Endpoint = { baseUrl: string; token: string; transport?: Transport } & Budgeted
type Budgeted = { budget?: RequestBudget }
/**
 * Calls one of Fly's APIs within one request budget. Repeats calls that are safe to repeat, up to
 * `attempts` times, with growing pauses. Throws the problems that `MachinesApi` lists.
 */
export class FlyCalls {
  readonly #api: Api
  readonly #baseUrl: string
  readonly #authorization: string
  readonly #budget: RequestBudget
  /** Reads that have not gone out yet, by path. */
  readonly #waiting = new Map<string, Promise<unknown>>()
  readonly #transport: Transport

  constructor({ baseUrl, token, transport, budget }: Endpoint, api = machinesApi) {
    this.#api = api
    this.#budget = budget ?? new RequestBudget()
    this.#transport = transport ?? fetchTransport()
    this.#baseUrl = trimEnd(baseUrl, '/') + api.path
    this.#authorization = api.authorization(token)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport[Symbol.asyncDispose]()
  }

  async call<T>(call: Call<T>, signal: AbortSignal): Promise<T> {
    return readAnswer(call, await this.#request(call, signal))
  }

  /**
   * Reads facts of an app. Callers share one request while it waits for its turn. They must not
   * change its result.
   */
  async read<T>(call: Omit<Call<T>, 'method'>, signal: AbortSignal): Promise<T> {
    const { path } = call
    let pending = this.#waiting.get(path)
    if (!pending) {
      const begins = () => this.#waiting.delete(path)
      const ask = { ...call, method: 'GET' } as const
      pending = this.#request(ask, AbortSignal.timeout(readMs), begins).finally(begins)
      this.#waiting.set(path, pending)
    }
    return readAnswer({ ...call, method: 'GET' }, await unlessAborted(pending, signal))
  }

  /** Repeats the request if that is safe. `begins` is called before each one goes out. */
  async #request(call: Request, signal: AbortSignal, begins = () => {}): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      await this.#budget.take(call.action, call.id, signal)
      begins()
      const answer = await this.#send(call, signal)
      if ('value' in answer) return answer.value
      if (attempt === maxAttempts || answer.repeat === 'never') throw answer.problem
      if (answer.repeat === 'idempotent' && call.repeat === 'no') throw answer.problem
      if (answer.pauseMs !== undefined) this.#budget.pause(call.action, call.id, answer.pauseMs)
      else await pause(pauseMs(attempt), signal)
    }
  }

  async #send(call: Request, signal: AbortSignal): Promise<Answer> {
    const what = nameOf(call)
    try {
      const outgoing = {
        method: call.method,
        url: this.#baseUrl + call.path,
        answerMs: call.answerMs ?? answerMs,
        headers: {
          authorization: this.#authorization,
          'user-agent': 'tarmac',
          ...(call.body && { 'content-type': 'application/json' }),
          ...(call.nonce && { 'fly-machine-lease-nonce': call.nonce }),
        },
        body: call.body && JSON.stringify(call.body),
      }
      const { status, header, text } = await this.#transport.send(outgoing, signal)

      if (status < 300) return { value: call.isText ? text : text === '' ? {} : JSON.parse(text) }
      const facts = { status, requestId: header('fly-request-id'), fly: messageOf(text) }
      return refused(what, status, facts, header('retry-after'))
    } catch (cause) {
      signal.throwIfAborted()
      const problem = new Problem(
        'fly-unavailable',
        `${this.#api.name} did not answer (${what}). Try again later.`,
        { cause },
      )
      const unsent = unsentCodes.has(errorCode(cause) ?? errorCode(causeOf(cause)) ?? '')
      return { problem, repeat: unsent ? 'always' : 'idempotent' }
    }
  }
}

type Answer =
  | { value: unknown }
  | { problem: Problem; repeat: 'always' | 'idempotent' | 'never'; pauseMs?: number }

const nameOf = ({ method, path }: Pick<Request, 'method' | 'path'>): string =>
  `${method} ${path.replace(/\?.*/, '')}`

function readAnswer<T>(call: Call<T>, value: unknown): T {
  const read = call.answer.safeParse(value)
  if (read.success) return read.data
  const [issue] = read.error.issues
  const why = issue ? `: ${issue.path.map(String).join('.')} ${issue.message}` : ''
  const detail = `Fly gave an answer that the gateway cannot read (${nameOf(call)}${why}).`
  throw new Problem('fly-refused', detail, { cause: read.error, facts: { status: 200 } })
}

/** The connection was never made, so nothing can have happened. */
const unsentCodes = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'ConnectionRefused', // Bun
])

/** `fetch` hides the error of the connection in the cause of its own. */
const causeOf = (error: unknown): unknown => (error instanceof Error ? error.cause : undefined)

function refused(
  what: string,
  status: number,
  facts: { status: number; requestId: unknown; fly: string },
  retryAfter: string | null,
): Answer {
  if (status === 429) {
    const problem = new Problem(
      'fly-unavailable',
      `Fly’s rate limit is reached (${what}). Try again later.`,
      { facts },
    )
    return { problem, repeat: 'always', pauseMs: (Number(retryAfter) || 1 + Math.random()) * 1000 }
  }

  if (status === 401 || status === 403) {
    const detail = `Fly refused the gateway's token (${what}: ${facts.fly}). Give the gateway a token with this right.`
    return { problem: new Problem('fly-denied', detail, { facts }), repeat: 'never' }
  }

  const waited = status === 408 && what.endsWith('/wait')
  if ((status >= 500 || status === 408) && !waited) {
    const detail = `Fly failed to answer the request (${what}: ${status} ${facts.fly}). Try again later.`
    return { problem: new Problem('fly-unavailable', detail, { facts }), repeat: 'idempotent' }
  }
  return {
    problem: new Problem('fly-refused', `Fly refused (${what}: ${status} ${facts.fly}).`, {
      facts,
    }),
    repeat: 'never',
  }
}

/** The HTTP status behind a problem of `MachinesApi`. Null: Fly did not answer. */
export const statusOf = (error: unknown): number | null =>
  error instanceof Problem && typeof error.facts['status'] === 'number'
    ? error.facts['status']
    : null

/** Null for an answer 404. */
export async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer
  } catch (error) {
    if (statusOf(error) === 404) return null
    throw error
  }
}

/**
 * Repeats a call about an app while Fly does not know the app: a new one is not visible everywhere at
 * once. `call` must be safe to repeat.
 */
export const retryUntilKnown = <T>(call: () => Promise<T>, signal: AbortSignal): Promise<T> =>
  retry(
    call,
    { isRetryable: (error) => statusOf(error) === 404, pauseMs: () => 500, forMs: 10_000 },
    signal,
  )

/** Whether Fly was unavailable. A change may have happened anyway: look before repeating it. */
export const isUnavailable = (error: unknown): boolean =>
  error instanceof Problem && error.code === 'fly-unavailable'

const failure = z.object({ error: z.string() })

function messageOf(text: string): string {
  try {
    const answer = failure.safeParse(JSON.parse(text))
    if (answer.success) return answer.data.error
  } catch {
    // Not JSON: the answer came from a proxy in between.
  }
  return text.slice(0, 200)
}

/** Doubles from 250 ms to 4 s. Up to half of it is random. */
export const pauseMs = (attempt: number): number =>
  Math.min(250 * 2 ** (attempt - 1), 4000) * (0.5 + Math.random() / 2)
