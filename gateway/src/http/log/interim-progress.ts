import type { ServerResponse } from 'node:http'
import { renderEvent, renderLine } from '#api/text/render-event.ts'
import type { Page } from '../../deployments/follow.ts'

/**
 * How much to send before the answer: curl takes at most 300 KiB of headers for one response,
 * interim ones included (MAX_HTTP_RESP_HEADER_SIZE). The rest is for heartbeats.
 */
const maxBytes = 200 * 1024
/** The status line and the name of the header. */
const lineBytes = 50
const maxLineChars = 1000

/**
 * Sends what happens while a caller waits for the status: 102 Processing with the header
 * `Tarmac-Progress`, one line of the log each, without the output of steps.
 */
export class InterimProgress {
  readonly #response: ServerResponse
  readonly #createdAt: string
  #state = 'pending'
  #leftBytes = maxBytes

  constructor(response: ServerResponse, createdAt: string) {
    this.#response = response
    this.#createdAt = createdAt
  }

  send(page: Page): void {
    for (const event of page) {
      if (event.type === 'state') this.#state = event.state
      if (event.type === 'log' || event.type === 'dropped') continue
      for (const line of renderEvent(event, this.#createdAt).trimEnd().split('\n'))
        this.#write(line)
    }
  }

  keepAlive(): void {
    const line = renderLine(`   still ${this.#state}`, new Date().toISOString(), this.#createdAt)
    this.#write(line.trimEnd())
    if (this.#leftBytes <= 0) this.#processing({})
  }

  #write(line: string): void {
    if (this.#leftBytes <= 0) return
    // A header is bytes, which Node writes as Latin-1: these are the bytes of UTF-8.
    const text = Buffer.from(line.slice(0, maxLineChars)).toString('latin1')
    this.#leftBytes -= text.length + lineBytes
    this.#processing({ 'Tarmac-Progress': text })
  }

  /** HTTP/1.0 has no interim answers. */
  #processing(headers: Record<string, string>): void {
    const { headersSent, destroyed, req } = this.#response
    if (!headersSent && !destroyed && req.httpVersion === '1.1')
      this.#response.writeInformation(102, headers)
  }
}
