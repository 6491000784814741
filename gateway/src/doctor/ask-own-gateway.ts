import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import type { Config } from '../config.ts'

const answerMs = 180_000

/**
 * Asks the gateway that runs on this machine, with its own token. Returns the JSON of its answer.
 * Throws `not-ready` when none answers. A `body` makes it a POST.
 */
export async function askOwnGateway(
  { http, secrets }: Pick<Config, 'http' | 'secrets'>,
  path: string,
  body: object | null,
): Promise<unknown> {
  const host = ['::', '0.0.0.0'].includes(http.host) ? '127.0.0.1' : http.host
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${http.port}${path}`
  const [token] = secrets.tokens
  try {
    const answer = await fetch(url, {
      method: body ? 'POST' : 'GET',
      headers: {
        ...(body && { 'content-type': 'application/json' }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(answerMs),
    })
    const text = await answer.text()
    if (answer.ok) return JSON.parse(text)
    throw new Error(`it answered ${answer.status}: ${text.slice(0, 500)}`)
  } catch (cause) {
    const why = errorMessage(cause instanceof Error && cause.cause ? cause.cause : cause)
    throw new Problem('not-ready', `no gateway answers at ${url}: ${why}`, { cause })
  }
}
