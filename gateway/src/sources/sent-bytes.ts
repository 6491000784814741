import type { Readable } from 'node:stream'
import { Problem } from '#api/problem.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import type { Limits } from './limits.ts'

/**
 * Yields the body of an upload as it arrives. Refuses silence and a rate that is too low. Only time
 * spent waiting for the sender counts. The stream stays open when the loop ends early: the caller
 * answers and closes it.
 */
export async function* sentBytes(
  body: Readable,
  limits: Limits,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  // An error after the refusal must not end the process.
  body.on('error', () => {})
  const pieces = body.iterator({ destroyOnReturn: false })
  const rate = new Rate(limits)
  const begunMs = performance.now()

  try {
    for (;;) {
      const askedMs = performance.now()
      const next: IteratorResult<Buffer> = await nextWithin(pieces, limits.idleMs, signal)
      if (next.done) return
      if (askedMs - begunMs > limits.receiveMs) throw tooLong(limits)
      rate.received(next.value.length, performance.now() - askedMs)
      crashPoint('uploading')
      yield next.value
    }
  } finally {
    void pieces.return?.().catch(() => {})
  }
}

const tooLong = ({ receiveMs }: Limits) =>
  new Problem(
    'body-too-slow',
    `The body was not complete within ${receiveMs / 1000} s (TARMAC_UPLOAD_TIMEOUT). Send it as a resumable upload, which goes on where it stopped.`,
    { facts: { phase: 'receive', receiveMs } },
  )

/** Refuses a sender that is slower than the limit over one whole window. */
class Rate {
  readonly #limits: Limits
  #bytes = 0
  #waitedMs = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  received(bytes: number, waitedMs: number): void {
    const { rateWindowMs, minBytesPerS } = this.#limits
    this.#bytes += bytes
    this.#waitedMs += waitedMs
    if (this.#waitedMs < rateWindowMs) return

    const bytesPerS = Math.round((this.#bytes * 1000) / this.#waitedMs)
    if (bytesPerS < minBytesPerS)
      throw new Problem(
        'upload-stalled',
        `The archive arrived at ${bytesPerS} bytes per second. Send it again over a connection with at least ${minBytesPerS}.`,
        { facts: { phase: 'receive', bytesPerS, minBytesPerS } },
      )

    this.#bytes = this.#waitedMs = 0
  }
}

function nextWithin(pieces: AsyncIterator<Buffer>, idleMs: number, signal: AbortSignal) {
  return new Promise<IteratorResult<Buffer>>((resolve, reject) => {
    const stalled = () => {
      const detail = `No data arrived for ${idleMs / 1000} s. Send the archive again over a better connection.`
      fail(new Problem('upload-stalled', detail, { facts: { phase: 'receive', idleMs } }))
    }

    const aborted = () => fail(brokenOff(signal.reason))
    const timer = setTimeout(stalled, idleMs)

    const settle = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', aborted)
    }
    const fail = (problem: Problem) => {
      settle()
      reject(problem)
    }

    signal.addEventListener('abort', aborted)
    if (signal.aborted) return aborted()

    pieces.next().then(
      (next) => {
        settle()
        resolve(next)
      },
      (error: unknown) => fail(brokenOff(error)),
    )
  })
}

/** The sender hung up, or the code that aborted gave its own Problem. */
export const brokenOff = (reason: unknown): Problem =>
  reason instanceof Problem
    ? reason
    : new Problem('archive-truncated', 'The upload ended early. Send the archive again.', {
        cause: reason,
      })
