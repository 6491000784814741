import {
  Client,
  credentials,
  Metadata,
  type ClientDuplexStream,
  type ClientReadableStream,
} from '@grpc/grpc-js'
import { BytesMessage, sessionPath, type Method } from './messages.ts'

export type ByteCall = ClientDuplexStream<Uint8Array, Uint8Array>

/**
 * The one connection to the daemon. It reconnects by itself. Errors are gRPC's own. It sends no
 * keepalive: the daemon disconnects clients that ping more often than every five minutes.
 */
export class Connection {
  readonly #client: Client

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), {
      'grpc.max_receive_message_length': 16 << 20,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 2000,
      'grpc.enable_channelz': 0,
    })
  }

  /** Aborting the signal cancels the call, and the daemon's work for it. */
  ask<Q, A>(method: Method<Q, A>, question: Q, signal: AbortSignal): Promise<A> {
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        method.path,
        (value: Q) => Buffer.from(method.ask.encode(value)),
        (value: Buffer) => method.answer.decode(value),
        question,
        new Metadata(),
        (error, answer) => {
          signal.removeEventListener('abort', cancel)
          if (error || answer === undefined) reject(error ?? new Error('The answer is missing.'))
          else resolve(answer)
        },
      )
      const cancel = () => call.cancel()
      signal.addEventListener('abort', cancel)
      if (signal.aborted) cancel()
    })
  }

  watch<Q, A>(method: Method<Q, A>, question: Q): ClientReadableStream<A> {
    return this.#client.makeServerStreamRequest(
      method.path,
      (value: Q) => Buffer.from(method.ask.encode(value)),
      (value: Buffer) => method.answer.decode(value),
      question,
      new Metadata(),
    )
  }

  /** A byte stream in both directions. The daemon speaks HTTP/2 over it, as the client. */
  session(about: Record<string, string | string[]>): ByteCall {
    const metadata = new Metadata()
    for (const [key, values] of Object.entries(about))
      for (const value of [values].flat()) metadata.add(key, value)
    return this.#client.makeBidiStreamRequest(
      sessionPath,
      (data: Uint8Array) => Buffer.from(BytesMessage.encode({ data })),
      (value: Buffer) => BytesMessage.decode(value).data,
      metadata,
    )
  }

  close(): void {
    this.#client.close()
  }
}
