import type { Readable, Writable } from 'node:stream'
import { Problem } from '#api/problem.ts'
import { tooSlow } from './small-body.ts'

/** Limit for a form outside its file: fields, part headers, preamble and epilogue. */
const maxFieldsBytes = 1024 * 1024

/**
 * Pipes a form's body to its parser, and limits the bytes and the time outside the file. Inside the
 * file the limits of a plain upload apply.
 */
export class FormPatience {
  readonly #over = Promise.withResolvers<never>()
  #leftMs: number
  readonly #bodyMs: number
  #bytes = 0
  #since = 0
  #timer: NodeJS.Timeout | undefined
  #inFile = false
  #isWhole = false
  #stop = () => {}

  constructor(bodyMs: number) {
    this.#bodyMs = bodyMs
    this.#leftMs = bodyMs
    this.#over.promise.catch(() => {}) // most forms are never refused
  }

  /** Rejects with the reason for refusing the form. */
  get refused(): Promise<never> {
    return this.#over.promise
  }

  refuse(reason: unknown): void {
    this.#over.reject(reason)
  }

  feed(body: Readable, parser: Writable): void {
    const count = (chunk: Buffer) => {
      if (!this.#inFile) this.#bytes += chunk.length
      if (this.#bytes <= maxFieldsBytes + chunk.length) return
      this.refuse(
        new Problem('form-invalid', 'The fields of the form have at most 1 MiB together.'),
      )
      this.#stop()
    }

    const end = () => {
      this.#isWhole = true
      this.#pause()
    }

    this.#stop = () => {
      body.destroy()
      parser.on('error', () => {}).destroy() // also ends the file stream for its reader
    }

    this.#run()
    body.on('data', count).on('end', end).pipe(parser)
  }

  /** Stops the clock until the end of this file, which has the limits of an upload. */
  enterFile(file: Readable): void {
    this.#inFile = true
    this.#pause()
    file.once('end', () => {
      this.#inFile = false
      if (!this.#isWhole) this.#run()
    })
  }

  [Symbol.dispose](): void {
    this.#pause()
    this.#stop()
  }

  #run(): void {
    this.#since = performance.now()
    this.#timer = setTimeout(() => this.refuse(tooSlow(this.#bodyMs)), this.#leftMs)
  }

  #pause(): void {
    if (!this.#timer) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#leftMs = Math.max(1, this.#leftMs - (performance.now() - this.#since))
  }
}
