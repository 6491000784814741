import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'

const pieceBytes = 64 * 1024

/**
 * A request's body as a separate stream. The reader may destroy it, and the connection stays open
 * for the answer. Joins small chunks that arrive together, because each piece costs the reader
 * time.
 */
export class RequestBody extends Readable {
  readonly #request: IncomingMessage
  #pieces: Buffer[] = []
  #bytes = 0
  #soon: NodeJS.Immediate | undefined

  constructor(request: IncomingMessage) {
    super({ highWaterMark: pieceBytes })
    this.#request = request
    this.on('error', () => {}) // the reader gets the error too; nothing needs a late one
    if (request.destroyed && !request.complete) this.destroy(new Error('The connection is closed.'))
    else
      request
        .on('data', this.#take)
        .on('end', this.#end)
        .on('error', this.#fail)
        .on('close', this.#close)
  }

  override _read(): void {
    this.#request.resume()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearImmediate(this.#soon)
    this.#pieces = []
    const request = this.#request
    request
      .off('data', this.#take)
      .off('end', this.#end)
      .off('error', this.#fail)
      .off('close', this.#close)
    if (!request.readableEnded) request.pause()
    done(error)
  }

  readonly #take = (chunk: Buffer): void => {
    this.#pieces.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes >= pieceBytes) this.#flush()
    else this.#soon ??= setImmediate(() => this.#flush())
  }

  readonly #end = (): void => {
    this.#flush()
    this.push(null)
  }

  readonly #fail = (error: Error): void => void this.destroy(error)
  readonly #close = (): void =>
    void (this.#request.complete || this.destroy(new Error('The connection is closed.')))

  #flush(): void {
    clearImmediate(this.#soon)
    this.#soon = undefined
    if (this.#bytes === 0) return
    const piece = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#bytes = 0
    if (!this.push(piece)) this.#request.pause()
  }
}
