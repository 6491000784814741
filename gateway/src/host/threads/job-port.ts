import type { MessagePort } from 'node:worker_threads'
import { packError, type SentError, unpackError } from './thread-errors.ts'

/** How many bytes of a stream may be in transit to the other thread or wait there. */
const windowBytes = 1024 * 1024
const pieceBytes = 256 * 1024

type Message =
  | { type: 'piece'; bytes: Uint8Array }
  | { type: 'taken'; bytes: number }
  | { type: 'end' }
  | { type: 'value'; value: unknown }
  | { type: 'failed'; error: SentError }
  | { type: 'over' }

/**
 * One end of the connection between a job on a thread and its caller: values, one stream each way,
 * an error.
 */
export class JobPort {
  readonly #port: MessagePort
  readonly #pieces: (Uint8Array | null)[] = []
  readonly #values: unknown[] = []
  #sentBytes = 0
  readonly #broken = new AbortController()
  #isOver = false
  readonly #closed = Promise.withResolvers<void>()
  /** Wakes all waiters on this end. */
  #changed = Promise.withResolvers<void>()

  /** `lost` is called when the other end is gone and did not send `over`. */
  constructor(port: MessagePort, lost: () => void = () => {}) {
    this.#port = port
    port.on('message', (message: Message) => this.#receive(message))
    port.on('close', () => {
      if (!this.#isOver) lost()
      this.fail(new Error('The other thread is gone.'))
      this.#closed.resolve()
    })
  }

  /** Aborts when the other end sends an error or is gone, with that error as its reason. */
  get broken(): AbortSignal {
    return this.#broken.signal
  }

  /** Sends a copy of `bytes`. Resolves when the other end has room for more. */
  async sendCopy(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += pieceBytes)
      await this.sendPiece(new Uint8Array(bytes.subarray(at, at + pieceBytes)))
  }

  /** Sends `bytes` and transfers their memory. Resolves when the other end has room for more. */
  async sendPiece(bytes: Uint8Array): Promise<void> {
    this.broken.throwIfAborted()
    this.#sentBytes += bytes.length
    this.#post({ type: 'piece', bytes }, bytes.buffer instanceof ArrayBuffer ? [bytes.buffer] : [])
    await this.#until(() => this.#sentBytes < windowBytes)
  }

  sendEnd(): void {
    this.#post({ type: 'end' })
  }

  sendValue(value: unknown): void {
    this.#post({ type: 'value', value })
  }

  /** All waiters on the other end get this error. */
  sendError(error: unknown): void {
    this.#post({ type: 'failed', error: packError(error) })
  }

  /** The bytes that the other end sends with `sendCopy` and `sendPiece`. */
  async *pieces(): AsyncGenerator<Buffer, void> {
    for (;;) {
      await this.#until(() => this.#pieces.length > 0)
      const bytes = this.#pieces.shift()
      if (!bytes) return
      yield Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      this.#post({ type: 'taken', bytes: bytes.byteLength })
    }
  }

  /** The next value that the other end sends. */
  async value<T>(): Promise<T> {
    await this.#until(() => this.#values.length > 0)
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- sent by our own code
    return this.#values.shift() as T
  }

  /** All waiters on this end get this error. */
  fail(error: Error): void {
    if (!this.broken.aborted) this.#broken.abort(error)
    this.#wake()
  }

  /** Resolves when either end has closed. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  close(): void {
    this.#isOver = true
    this.#post({ type: 'over' })
    this.#port.close()
  }

  #receive(message: Message): void {
    if (message.type === 'piece') this.#pieces.push(message.bytes)
    else if (message.type === 'end') this.#pieces.push(null)
    else if (message.type === 'taken') this.#sentBytes -= message.bytes
    else if (message.type === 'value') this.#values.push(message.value)
    else if (message.type === 'over') this.#isOver = true
    else return this.fail(unpackError(message.error))
    this.#wake()
  }

  async #until(ready: () => boolean): Promise<void> {
    while (!ready()) {
      this.broken.throwIfAborted()
      await this.#changed.promise
    }
  }

  #wake(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  #post(message: Message, transfer: ArrayBuffer[] = []): void {
    this.#port.postMessage(message, transfer)
  }
}
