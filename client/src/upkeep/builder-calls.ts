import { createReadStream } from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline } from 'node:stream/promises'
import { text } from 'node:stream/consumers'
import type { z } from 'zod'
import { routes } from '#api/routes.ts'
import { RestoreFacts } from '#api/status/backup.ts'
import { DrainFacts } from '#api/status/drain.ts'
import { Problem } from '#api/problem.ts'
import { readProblem, unreachable } from '../answers.ts'

const answerMs = 30_000
/** The builder copies or checks all its records before it answers. */
const copyMs = 15 * 60_000

/** The calls of the gateway's API for the builder as a whole. Refusals are Problems. */
export class BuilderCalls {
  readonly #base: string
  readonly #headers: Record<string, string>

  constructor(address: URL, token: string) {
    this.#base = address.href.replace(/\/$/, '')
    this.#headers = token ? { Authorization: `Bearer ${token}` } : {}
  }

  startDrain(seconds: number, signal: AbortSignal): Promise<DrainFacts> {
    return this.#json(DrainFacts, `${routes.drain}?limit=${seconds}`, { method: 'POST', signal })
  }

  drain(signal: AbortSignal): Promise<DrainFacts> {
    return this.#json(DrainFacts, routes.drain, { signal })
  }

  /** Also after an interrupt: a builder that stays drained does no work. */
  endDrain(): Promise<DrainFacts> {
    const signal = AbortSignal.timeout(answerMs)
    return this.#json(DrainFacts, routes.drain, { method: 'DELETE', signal })
  }

  /** The records as a stream. `sha256` in base64. */
  async backup(
    signal: AbortSignal,
  ): Promise<{ body: ReadableStream; bytes: number; sha256: string; name: string }> {
    const limit = AbortSignal.timeout(copyMs)
    const response = await this.#fetch(routes.backup, { signal: AbortSignal.any([signal, limit]) })
    const { headers, body } = response
    const sha256 = /^sha-256=:(.+):$/.exec(headers.get('repr-digest') ?? '')?.[1]
    const name = /filename="([\w.-]+)"/.exec(headers.get('content-disposition') ?? '')?.[1]
    if (body === null || sha256 === undefined || name === undefined)
      throw new Problem('not-ready', `${this.#base} does not answer with a backup.`)
    return { body, bytes: Number(headers.get('content-length')), sha256, name }
  }

  /** Sends a backup. The builder restarts with it after its answer. */
  async restore(
    file: { path: string; bytes: number; sha256: string },
    overNewer: boolean,
    signal: AbortSignal,
  ): Promise<RestoreFacts> {
    const url = new URL(`${this.#base}${routes.backup}?over-newer=${overNewer}`)
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    const headers = {
      ...this.#headers,
      'Content-Type': 'application/vnd.sqlite3',
      'Content-Length': file.bytes,
      'Repr-Digest': `sha-256=:${file.sha256}:`,
    }
    const request = send(url, { method: 'PUT', headers, signal })
    const answered = new Promise<IncomingMessage>((resolve, reject) =>
      request.once('response', resolve).once('error', reject),
    )
    try {
      // A refusal may come before the end of the file.
      pipeline(createReadStream(file.path), request).catch(() => {})
      const response = await answered
      const answer = await text(response)
      if (response.statusCode !== 200) throw readProblem(url, response.statusCode ?? 0, answer)
      return RestoreFacts.parse(JSON.parse(answer))
    } catch (error) {
      if (error instanceof Problem || signal.aborted) throw error
      throw unreachable(url, error)
    } finally {
      request.on('error', () => {})
    }
  }

  async #json<T>(
    schema: z.ZodType<T>,
    path: string,
    init: { method?: string; signal: AbortSignal },
  ): Promise<T> {
    const limit = AbortSignal.timeout(answerMs)
    const response = await this.#fetch(path, {
      ...init,
      signal: AbortSignal.any([init.signal, limit]),
    })
    return schema.parse(await response.json())
  }

  async #fetch(path: string, init: { method?: string; signal: AbortSignal }): Promise<Response> {
    const url = new URL(this.#base + path)
    const response = await fetch(url, { ...init, headers: this.#headers }).catch(
      (error: unknown) => {
        init.signal.throwIfAborted()
        throw unreachable(url, error)
      },
    )
    if (response.ok) return response
    const problem = readProblem(url, response.status, await response.text())
    if (problem.code !== 'route-not-found' && problem.code !== 'method-not-allowed') throw problem
    throw new Problem(
      problem.code,
      `The gateway at ${url.origin} does not know ${path}: it is older than this client. Upgrade it first (tarmac up --image REF).`,
    )
  }
}
