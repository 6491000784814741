import type { ClientRequest, IncomingMessage } from 'node:http'
import { durationMs } from '../duration.ts'
import type { Machine } from '../state.ts'
import { Refusal, type Target } from './traffic.ts'

/** Fly's limits (superfly/docs: networking/dynamic-request-routing, monitoring/error-codes). */
export const maxReplays = 10
const maxBodyBytes = 1_000_000

/** What a `fly-replay` header of an answer asks for. */
type Replay = Partial<Record<(typeof fields)[number], string>>
const fields = [
  'app',
  'instance',
  'prefer_instance',
  'region',
  'elsewhere',
  'state',
  'timeout',
] as const

/**
 * Reads a `fly-replay` header: `app=worker;region="ams,any"`. Throws Fly's error PA03 for one that
 * cannot be read. localfly has neither `fallback`, nor the form as JSON, nor the cache of replays.
 */
export function readReplay(header: string): Replay {
  const replay: Replay = {}
  for (const part of header.split(';').filter((each) => each.trim() !== '')) {
    const [, key, quoted, plain] = /^\s*([a-z_]+)=(?:"([^"]*)"|([^"]*?))\s*$/.exec(part) ?? []
    const field = fields.find((name) => name === key)
    if (!field) throw new Refusal(502, `PA03: malformed fly-replay header: ${header}`)
    replay[field] = quoted ?? plain ?? ''
  }
  return replay
}

/** Where a replayed request goes. `from`: the machine that asked for it. */
export function replayTarget(replay: Replay, before: Target, from: Machine): Target {
  return {
    app: replay.app ?? from.own.app,
    owner: replay.app === undefined ? before.owner : null,
    instance: replay.instance ?? null,
    prefer: replay.prefer_instance ?? null,
    regions: replay.region?.split(',') ?? [],
    avoid: replay.elsewhere === 'true' ? from.id : null,
    port: replay.app === undefined ? before.port : null,
  }
}

/** How long to try; null: as for any request. */
export const replayMs = ({ timeout }: Replay): number | null =>
  timeout === undefined ? null : durationMs(timeout, 0)

/** The header that says to the target where the request comes from. */
export function replaySource({ id, region }: Machine, { state }: Replay): string {
  const given = state === undefined ? '' : `;state=${state}`
  return `instance=${id};region=${region};t=${Date.now() * 1000}${given}`
}

/** The body of a request, kept for a replay as far as Fly keeps it. */
export class ReplayBody {
  readonly #request: IncomingMessage
  #isSent = false
  readonly #kept: Buffer[] = []
  readonly #over = Promise.withResolvers<void>()
  #bytes = 0
  #isWhole = false

  constructor(request: IncomingMessage) {
    this.#request = request
  }

  /** Sends the body as it arrives, or as it was kept. */
  sendTo(call: ClientRequest): void {
    if (this.#isWhole) return void call.end(Buffer.concat(this.#kept))
    const request = this.#request
    this.#isSent = true
    request.on('data', (chunk: Buffer) => {
      this.#keep(chunk)
      if (!call.destroyed && !call.write(chunk)) request.pause()
    })
    const go = () => void request.resume()
    call.on('drain', go).once('close', go)
    request.once('close', this.#over.resolve)
    request.once('end', () => {
      this.#isWhole = true
      this.#over.resolve()
      call.end()
    })
  }

  /** Resolves when the body is there for a replay. Throws when it is too large. */
  async whole(): Promise<void> {
    if (this.#isSent) await this.#over.promise
    if (this.#bytes > maxBodyBytes)
      throw new Refusal(502, `A request over ${maxBodyBytes} bytes cannot be replayed.`)
  }

  #keep(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes <= maxBodyBytes) return void this.#kept.push(chunk)
    this.#kept.length = 0
    this.#over.resolve()
  }
}
