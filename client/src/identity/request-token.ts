import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { isObject } from '#api/is-object.ts'
import { errorMessage } from '#api/error-code.ts'
import { retry } from '#api/flow/retry.ts'
import { Problem } from '#api/problem.ts'

const answerMs = 10_000
const pausesMs = [1000, 3000]

/**
 * A token for the job, of GitHub's own server for it. Source: docs.github.com,
 * actions/reference/security/oidc. It fails now and then, so it is asked three times.
 */
export function githubToken(url: string, secret: string, aud: string): Promise<string> {
  const asked = new URL(url)
  asked.searchParams.set('audience', aud)
  const ask = async () => {
    const signal = AbortSignal.timeout(answerMs)
    const headers = { authorization: `bearer ${secret}`, accept: 'application/json' }
    const response = await fetch(asked, { headers, signal })
    if (!response.ok) throw new Error(`its answer has the status ${response.status}`)
    const answer: unknown = await response.json()
    const token = isObject(answer) ? answer['value'] : undefined
    if (typeof token === 'string' && token !== '') return token
    throw new Error('its answer has no token')
  }
  return given('GitHub', () =>
    retry(
      ask,
      { isRetryable: () => true, pauseMs: (attempt) => pausesMs[attempt - 2] ?? null },
      AbortSignal.timeout(60_000),
    ),
  )
}

/** A token for this machine, of Fly's socket in it. The answer is the bare token. Source: fly.md 6.1. */
export function flyToken(socketPath: string, aud: string): Promise<string> {
  return given('Fly', async () => {
    const signal = AbortSignal.timeout(answerMs)
    const call = request({ socketPath, path: '/v1/tokens/oidc', method: 'POST', signal })
    call.setHeader('content-type', 'application/json').setHeader('host', 'localhost')
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      call.on('response', resolve).on('error', reject).end(JSON.stringify({ aud }))
    })
    const answer = await text(response)
    if (response.statusCode === 200) return answer.trim()
    throw new Error(`its answer has the status ${response.statusCode}`)
  })
}

/** When a token expires: milliseconds since 1970. Null: it does not say. */
export function expiryOf(token: string): number | null {
  try {
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()
    const claims: unknown = JSON.parse(payload)
    const exp = isObject(claims) ? claims['exp'] : undefined
    return typeof exp === 'number' ? exp * 1000 : null
  } catch {
    return null
  }
}

async function given(provider: string, ask: () => Promise<string>): Promise<string> {
  try {
    return await ask()
  } catch (cause) {
    const detail = `${provider} gave no OIDC token: ${errorMessage(cause)}. Run this again, or set TARMAC_TOKEN.`
    throw new Problem('not-ready', detail, { cause })
  }
}
