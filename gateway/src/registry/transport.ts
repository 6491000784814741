import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { Agent, type buildConnector, request as sendRequest, type Dispatcher } from 'undici'
import { errorCode } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { readBody } from '#api/flow/read-body.ts'
import { retry } from '#api/flow/retry.ts'
import { imageTypes } from './image-parts.ts'

const maxAttempts = 4
const maxRedirects = 5
const maxAnswerBytes = 8 * 1024 * 1024
const accept = imageTypes.join(', ')

export type RegistryRequest = {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST'
  url: string
  authorization: string | null
  content: { mediaType: string; bytes: Uint8Array } | null
}
export type Answer = {
  status: number
  headers: Dispatcher.ResponseData['headers']
  bytes: Buffer
}

/**
 * Sends requests to one registry. Throws `registry-unavailable` after several attempts, and
 * `registry-denied`.
 */
export class Transport {
  readonly #host: string
  readonly #agent: Agent
  readonly #attempts: number

  constructor(host: string, agent: Agent, attempts = maxAttempts) {
    this.#host = host
    this.#agent = agent
    this.#attempts = attempts
  }

  async send(request: RegistryRequest, signal: AbortSignal): Promise<Answer> {
    return retry(
      () => this.#follow(request, signal),
      {
        isRetryable: (error) => errorCode(error) === 'registry-unavailable',
        pauseMs: (attempt) =>
          attempt > this.#attempts ? null : 250 * 2 ** (attempt - 1) * (0.5 + Math.random() / 2),
      },
      signal,
    )
  }

  unavailable(why: string, cause?: unknown): Problem {
    const detail = `Registry ${this.#host}: ${why}. Try again later.`
    return new Problem('registry-unavailable', detail, { cause })
  }

  denied(why: string): Problem {
    const detail = `The registry ${this.#host} refused the gateway's login (${why}). Check the gateway's token.`
    return new Problem('registry-denied', detail)
  }

  /**
   * Follows redirects: some registries keep images on other servers. The login is sent only to the
   * original host.
   */
  async #follow(request: RegistryRequest, signal: AbortSignal): Promise<Answer> {
    const from = new URL(request.url)
    let at = from
    for (let hops = 0; ; hops++) {
      const authorization = at.origin === from.origin ? request.authorization : null
      const answer = await this.#try({ ...request, url: at.href, authorization }, signal)
      const to = redirectOf(answer, at)
      if (to === null || !['GET', 'HEAD'].includes(request.method)) return answer
      if (hops === maxRedirects || (to.protocol !== 'https:' && to.protocol !== at.protocol))
        throw this.denied(`it redirects to ${to.origin}, which may not get the login`)
      at = to
    }
  }

  async #try(request: RegistryRequest, signal: AbortSignal): Promise<Answer> {
    const answer = await this.#once(request, signal).catch((cause: unknown) => {
      signal.throwIfAborted()
      if (cause instanceof Problem) throw cause
      throw this.unavailable('it did not answer', cause)
    })
    if (answer.status < 500 && answer.status !== 429) return answer
    throw this.unavailable(`it answered ${answer.status}`)
  }

  async #once(request: RegistryRequest, signal: AbortSignal): Promise<Answer> {
    const { method, url, authorization, content } = request
    const { statusCode, headers, body } = await sendRequest(url, {
      method,
      dispatcher: this.#agent,
      signal,
      headers: {
        accept,
        ...(authorization && { authorization }),
        ...(content && { 'content-type': content.mediaType }),
      },
      body: content?.bytes ?? null,
    })
    return { status: statusCode, headers, bytes: await readBody(body, maxAnswerBytes) }
  }
}

let trusted: SecureContext | undefined

/**
 * Trusts the certificates that the machine trusts, as the build daemon does: a private registry may
 * have a certificate of its own authority.
 */
export function connectOptions() {
  trusted ??= createSecureContext({
    ca: [...new Set([...getCACertificates('default'), ...getCACertificates('system')])],
  })
  return { timeout: 5000, secureContext: trusted }
}

export const registryAgent = (
  connect?: buildConnector.connector,
  { answerMs = 30_000 } = {},
): Agent =>
  new Agent({
    connect: connect ?? connectOptions(),
    headersTimeout: answerMs,
    bodyTimeout: 30_000,
  })

/** Where a redirect leads. Null: the answer is none. */
export function redirectOf(
  { status, headers }: Pick<Answer, 'status' | 'headers'>,
  from: URL,
): URL | null {
  const location = String(headers['location'] ?? '')
  return [301, 302, 303, 307, 308].includes(status) && URL.canParse(location, from.href)
    ? new URL(location, from.href)
    : null
}
