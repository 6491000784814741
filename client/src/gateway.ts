import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline, type Readable, Transform } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { Deployment } from '#api/deployment.ts'
import { errorCode } from '#api/error-code.ts'
import type { StreamMessage } from '#api/event-stream.ts'
import { type DeploymentOptions, writeOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { ProblemBody } from '#api/problem/body.ts'
import { fill, routes } from '#api/routes.ts'

const continueMs = 1000
const answerMs = 30_000
const silenceMs = 45_000 // three heartbeats

/** The gateway's API as methods. Refusals and connection failures are Problems. */
export class Gateway {
  readonly #base: string
  readonly #headers: Record<string, string>

  constructor(address: URL, token: string) {
    this.#base = address.href.replace(/\/$/, '')
    this.#headers = token ? { Authorization: `Bearer ${token}` } : {}
  }

  recordUrl(id: string): string {
    return this.#base + fill(routes.deployment, { id })
  }

  /**
   * Sends a source. Waits for `100 Continue` first, so that a refusal costs no upload. Resolves
   * when the gateway has accepted the deployment.
   */
  async upload(
    app: string,
    { options, secrets }: { options: Partial<DeploymentOptions>; secrets: Map<string, string> },
    body: Readable,
    sent: (bytes: number) => void,
    signal: AbortSignal,
  ): Promise<Deployment> {
    const url = new URL(
      `${this.#base}${fill(routes.deployments, { app })}?${writeOptions(options).toString()}`,
    )

    const { type, wrap } = secrets.size > 0 ? formWith(secrets) : plainBody
    const headers = { ...this.#headers, 'Content-Type': type, Expect: '100-continue' }
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      method: 'POST',
      headers,
      signal,
    })

    const counted = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        sent(chunk.length)
        done(null, chunk)
      },
    })
    // An error while packing is the cause of the connection error that follows.
    let packing: unknown
    body.once('error', (error) => (packing = error))

    let begun = false
    const begin = () => {
      // Errors arrive on the request.
      if (!begun) pipeline(body, counted, wrap, request, () => {})
      begun = true
    }

    // A proxy may not forward the Expect header.
    const impatience = setTimeout(begin, continueMs)
    request.once('continue', begin).flushHeaders()
    try {
      const [response] = (await once(request, 'response')) as [IncomingMessage]
      const answer = await text(response)
      if (response.statusCode !== 202) throw problemOf(url, response.statusCode!, answer)
      return JSON.parse(answer) as Deployment
    } catch (error) {
      throw error instanceof Problem || signal.aborted
        ? error
        : (packing ?? unreachable(url, error))
    } finally {
      clearTimeout(impatience)
      // The response is complete; the connection may break.
      request.on('error', () => {})
      body.destroy()
    }
  }

  async find(id: string, signal: AbortSignal): Promise<Deployment> {
    const url = new URL(this.recordUrl(id))
    const response = await this.#get(
      url,
      'application/json',
      AbortSignal.any([signal, AbortSignal.timeout(answerMs)]),
    )
    return (await response.json()) as Deployment
  }

  /** Requests the cancel of a deployment. The returned record may not be in its final state yet. */
  async cancel(
    id: string,
    request: { by: string; why: string | null; abort: boolean },
  ): Promise<Deployment> {
    const query = new URLSearchParams({
      by: request.by,
      ...(request.why && { why: request.why }),
      abort: String(request.abort),
    })
    const url = new URL(`${this.#base}${fill(routes.cancel, { id })}?${query.toString()}`)
    const response = await this.#fetch(url, {
      method: 'POST',
      signal: AbortSignal.timeout(answerMs),
    })
    return (await response.json()) as Deployment
  }

  async retry(id: string, reuseImage: boolean): Promise<Deployment> {
    const url = new URL(`${this.#base}${fill(routes.retry, { id })}?reuse-image=${reuseImage}`)
    const response = await this.#fetch(url, {
      method: 'POST',
      signal: AbortSignal.timeout(answerMs),
    })
    return (await response.json()) as Deployment
  }

  /** Uploads nothing: the gateway has the image. */
  async rollBack(app: string, query: URLSearchParams): Promise<Deployment> {
    const url = new URL(`${this.#base}${fill(routes.rollback, { app })}?${query.toString()}`)
    const response = await this.#fetch(url, {
      method: 'POST',
      signal: AbortSignal.timeout(answerMs),
    })
    return (await response.json()) as Deployment
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
    const url = new URL(`${this.#base}${fill(routes.events, { id })}?${query.toString()}`)
    const silence = new AbortController()
    const watch = setTimeout(() => silence.abort(new Error('the line went silent')), silenceMs)

    try {
      const response = await this.#get(
        url,
        'application/x-ndjson',
        AbortSignal.any([signal, silence.signal]),
      )
      let rest = ''
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        watch.refresh()
        const lines = (rest + chunk).split('\n')
        rest = lines.pop()!
        for (const line of lines) if (line) yield JSON.parse(line) as StreamMessage
      }
    } finally {
      clearTimeout(watch)
      silence.abort()
    }
  }

  #get(url: URL, accept: string, signal: AbortSignal): Promise<Response> {
    return this.#fetch(url, { headers: { Accept: accept }, signal })
  }

  async #fetch(
    url: URL,
    init: { method?: string; headers?: Record<string, string>; signal: AbortSignal },
  ): Promise<Response> {
    const response = await fetch(url, {
      ...init,
      headers: { ...this.#headers, ...init.headers },
    }).catch((error: unknown) => {
      throw unreachable(url, error)
    })
    if (!response.ok) throw problemOf(url, response.status, await response.text())
    return response
  }
}

const plainBody = { type: 'application/octet-stream', wrap: (body: AsyncIterable<Buffer>) => body }

/** Wraps the source in a form with the secrets as fields: a URL must not hold secrets. */
function formWith(secrets: Map<string, string>): typeof plainBody {
  const boundary = randomUUID()
  const field = (name: string, more: string) =>
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n`
  const fields = Array.from(
    secrets,
    ([name, value]) => `${field(`secret.${name}`, '')}${value}\r\n`,
  )
  async function* wrap(body: AsyncIterable<Buffer>) {
    yield Buffer.from(fields.join('') + field('source', '; filename="source"'))
    yield* body
    yield Buffer.from(`\r\n--${boundary}--\r\n`)
  }
  return { type: `multipart/form-data; boundary=${boundary}`, wrap }
}

function problemOf(url: URL, status: number, answer: string): Problem {
  let body: unknown
  try {
    body = JSON.parse(answer)
  } catch {
    body = undefined
  }

  const known = ProblemBody.safeParse(body)
  if (known.success) return Problem.from(known.data)

  return new Problem(
    'not-ready',
    `${url.origin} answered ${status} like no gateway does: ${answer.slice(0, 200)}`,
  )
}

function unreachable(url: URL, error: unknown): Problem {
  const { message, cause } = error as Error
  const reason = cause instanceof Error ? cause.message || errorCode(cause) : message
  return new Problem(
    'not-ready',
    `The gateway at ${url.origin} cannot be reached: ${reason}. Is its address right?`,
    {
      cause: error,
    },
  )
}
