import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { NoteEnd } from '../access-log.ts'
import { type Connections, ofSocket } from '../connections.ts'

/** A reader of a log has nothing more to send. */
const maxBytesOfReader = 64 * 1024

/**
 * Answers whose connection Node's HTTP server has released, as after an upgrade. A reader of a log
 * stays for hours and sends nothing more, but a parser, a request and an answer would hold 8 KB for
 * it.
 *
 * Node releases a connection if the field `upgrade` of its last request is set at the end of what
 * it parses. That is not documented. If Node does not release it, the answer goes through Node.
 */
export class ReleasedAnswers {
  readonly #asked = new WeakMap<IncomingMessage, { response: ServerResponse; noteEnd: NoteEnd }>()
  readonly #released = new WeakMap<ServerResponse, NoteEnd>()
  readonly #open = new Map<Socket, { noteEnd: NoteEnd; mostBytes: number }>()
  readonly #connections: Connections

  constructor(connections: Connections) {
    this.#connections = connections
  }

  /** Call it in the event `request`. If Node releases the connection, the answer closes it. */
  ask(request: IncomingMessage, response: ServerResponse, noteEnd: NoteEnd): void {
    const { headers, httpVersion } = request
    const hasBody = headers['transfer-encoding'] ?? headers['content-length']
    if (httpVersion !== '1.1' || hasBody !== undefined || headers.upgrade !== undefined) return
    this.#asked.set(request, { response, noteEnd })
    Object.assign(request, { upgrade: true })
    process.nextTick(() => Object.assign(request, { upgrade: false }))
  }

  /** Takes what Node hands over in the event `upgrade`. False: nobody asked for it. */
  take(request: IncomingMessage, socket: Socket): boolean {
    const asked = this.#asked.get(request)
    if (!asked) return false
    this.#released.set(asked.response, asked.noteEnd)
    asked.response.shouldKeepAlive = false
    socket.on('error', ignore).on('end', closeSoon).resume()
    return true
  }

  /**
   * Detaches the connection from an answer whose head was written. The caller writes the rest, as
   * chunks. Null: Node has not released it.
   */
  detach(response: ServerResponse): Socket | null {
    const { socket } = response
    const noteEnd = this.#released.get(response)
    if (!socket || !noteEnd || !response.chunkedEncoding) return null
    response.detachSocket(socket)
    this.#connections.release(socket)
    this.#open.set(socket, { noteEnd, mostBytes: socket.bytesRead + maxBytesOfReader })
    return socket.on('data', this.#heard).on('close', this.#closed)
  }

  // A function for each of thousands of readers would cost memory.
  readonly #heard = ofSocket((socket) => {
    if (socket.bytesRead > this.#open.get(socket)!.mostBytes) socket.destroy()
  })
  readonly #closed = ofSocket((socket) => {
    this.#open.get(socket)!.noteEnd(200, socket.writableFinished)
    this.#open.delete(socket)
  })

  /** Cuts every connection that is still open. */
  cut(): void {
    for (const socket of this.#open.keys()) socket.destroy()
  }
}

/** After an error Node closes the connection itself. */
const ignore = () => {}
const closeSoon = ofSocket((socket) => socket.destroySoon())
