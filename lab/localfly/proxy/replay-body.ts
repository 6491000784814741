import type { ClientRequest, IncomingMessage } from 'node:http'
import { Refusal } from './traffic.ts'

/** Fly's limit (superfly/docs: networking/dynamic-request-routing, "Requirements and Limitations"). */
const maxBodyBytes = 1_000_000

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
