import { Agent, request } from 'undici'
import { readBody } from '#api/flow/read-body.ts'
import type { Endpoint } from './fly-calls.ts'
import { maxAnswerBytes, type Transport } from './transport.ts'

const bodyMs = 30_000

/** Sends requests over connections that it keeps open for the next ones. */
export function undiciTransport(): Transport {
  const dispatcher = new Agent({
    connect: { timeout: 5000 },
    keepAliveTimeout: 10_000,
    bodyTimeout: bodyMs,
  })
  return {
    async send({ method, url, headers, body, answerMs }, signal) {
      const init = { method, dispatcher, signal, headersTimeout: answerMs, headers }
      const response = await request(url, body === undefined ? init : { ...init, body })

      const text = (await readBody(response.body, maxAnswerBytes)).toString()
      const header = (name: string) => [response.headers[name] ?? []].flat()[0] ?? null
      return { status: response.statusCode, header, text }
    },
    [Symbol.asyncDispose]: () => dispatcher.destroy(),
  }
}

export const overUndici = (baseUrl: string, token: string): Endpoint => ({
  baseUrl,
  token,
  transport: undiciTransport(),
})
