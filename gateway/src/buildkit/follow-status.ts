import type { ClientReadableStream } from '@grpc/grpc-js'
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import { crashPoint } from '../crash-point.ts'
import { isServiceError } from './failures.ts'
import type { StatusResponse } from './messages.ts'
import type { Progress } from './progress.ts'

/** How long to wait for more news after the solve has ended. */
const silenceMs = 5000
/** The same when every step that began has ended. */
const settledMs = 100
const pollMs = 20
/** How long news may hold the event loop: a step may print faster than its output can be taken in. */
const sliceMs = 5

/**
 * Takes in the news of a solve. Call the answer when the solve is over: it waits for what is still on its way. It does
 * not wait for the stream's end alone, because after some failures the daemon never sends it.
 */
export function followStatus(
  stream: ClientReadableStream<StatusResponse>,
  progress: Progress,
): (signal: AbortSignal) => Promise<void> {
  let slices = 0
  const read = async () => {
    let sliceEnd = performance.now() + sliceMs
    for await (const news of stream) {
      slices++
      for (const _ of progress.slices(news)) {
        slices++
        if (performance.now() < sliceEnd) continue
        await nextTurn()
        sliceEnd = performance.now() + sliceMs
      }
      if (progress.running().length > 0) crashPoint('solving')
    }
  }

  let failure: unknown
  const ended = read().then(
    () => true as const,
    (error: unknown) => {
      if (!isServiceError(error)) failure = error // else the stream broke, and the solve itself says why
      return true as const
    },
  )

  return async (signal) => {
    // Waits are counted, not timed: where this process had no time, neither had what reads the news.
    let [silentMs, heard] = [0, -1]
    while (silentMs < (progress.settled || signal.aborted ? settledMs : silenceMs)) {
      if (await Promise.race([ended, wait(pollMs, false)])) break
      silentMs = heard === slices ? silentMs + pollMs : 0
      heard = slices
    }
    stream.cancel()
    if (failure) throw failure
    progress.end()
  }
}
