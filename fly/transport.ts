import { readBody } from '#api/flow/read-body.ts'

export type Outgoing = {
  method: string
  url: string
  headers: Record<string, string>
  body: string | undefined
  /** How long the answer may take to begin. */
  answerMs: number
}
export type Incoming = {
  status: number
  header: (name: string) => string | null
  text: string
}

/**
 * Sends one request and reads its answer. Throws what the HTTP client throws. The gateway uses
 * undici. The client uses `fetch`: undici would double its size, and fetch is built into Node, Bun
 * and Deno.
 */
export type Transport = AsyncDisposable & {
  send: (request: Outgoing, signal: AbortSignal) => Promise<Incoming>
}

export const maxAnswerBytes = 32 * 1024 * 1024

export function fetchTransport(): Transport {
  return {
    async send({ method, url, headers, body, answerMs }, signal) {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(answerMs)])
      const init = { method, headers, redirect: 'manual', signal: limited } as const
      const response = await fetch(url, body === undefined ? init : { ...init, body })

      const text = response.body ? (await readBody(response.body, maxAnswerBytes)).toString() : ''
      return { status: response.status, header: (name) => response.headers.get(name), text }
    },
    async [Symbol.asyncDispose]() {},
  }
}
