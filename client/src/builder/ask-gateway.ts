import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { readProblem } from '../answers.ts'

type Call = { path: string; method?: 'PUT' | 'PATCH' | 'DELETE'; body?: object; withinMs: number }

/**
 * Asks a gateway, and returns the JSON of its answer. Throws `unauthorized` and its other problems,
 * or `not-ready` when it cannot be reached from here.
 */
export async function askGateway(
  { gateway, token }: { gateway: URL; token: string },
  { path, method, body, withinMs }: Call,
  signal: AbortSignal,
): Promise<unknown> {
  const url = new URL(gateway.href.replace(/\/$/, '') + path)
  const limited = AbortSignal.any([signal, AbortSignal.timeout(withinMs)])
  const response = await fetch(url, {
    method: method ?? (body ? 'POST' : 'GET'),
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
    signal: limited,
  }).catch((cause: unknown) => {
    signal.throwIfAborted()
    throw notReached(url, cause, limited.aborted ? withinMs : null)
  })
  const text = await response.text()
  if (!response.ok) throw readProblem(url, response.status, text)
  return text === '' ? null : JSON.parse(text)
}

const isError = (cause: unknown): cause is Error & { cause: unknown } =>
  cause instanceof Error && cause.cause !== undefined

function notReached(url: URL, cause: unknown, withinMs: number | null): Problem {
  const why =
    withinMs === null
      ? errorMessage(isError(cause) ? cause.cause : cause)
      : `no answer within ${withinMs / 1000} s`
  return new Problem(
    'not-ready',
    `The gateway at ${url.origin} cannot be reached from here: ${why}`,
    {
      cause,
      facts: { unreachable: true },
    },
  )
}

/** Whether nothing at all answered at the gateway's address. */
export const isUnreachable = (error: unknown): boolean =>
  error instanceof Problem && error.facts['unreachable'] === true
