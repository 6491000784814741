import type { ClientReadableStream } from '@grpc/grpc-js'
import { setTimeout as wait } from 'node:timers/promises'
import { crashPoint } from '#api/flow/crash-point.ts'
import { TimeSlice } from '../time-slice.ts'
import { isServiceError } from './failures.ts'
import type { StatusResponse } from './messages.ts'
import type { Progress } from './progress.ts'

/** How long to wait for more messages after the solve has ended, as BuildKit's own client does. */
const silenceMs = 5000
/** The same, if the daemon has nothing more to report. */
const settledMs = 100
const pollMs = 20
/**
 * How long a message may block the event loop: a step may print faster than the gateway can process
 * its output.
 */
const sliceMs = 5

/**
 * Waits until the messages in transit are read. `isComplete`: whether the status has everything that
 * the end of the solve names.
 */
export type Heard = (end: { isComplete: () => boolean; signal: AbortSignal }) => Promise<void>

/**
 * Reads the status messages of a solve. Call the returned function when the solve is over: it waits
 * for messages in transit. It does not rely on the end of the stream, because the daemon never
 * sends it after some failures.
 */
export function followStatus(
  stream: ClientReadableStream<StatusResponse>,
  progress: Progress,
): Heard {
  let slices = 0
  const read = async () => {
    const slice = new TimeSlice(sliceMs)
    for await (const news of stream) {
      slices++
      for (const _ of progress.slices(news)) {
        slices++
        await slice.yield()
      }
      if (progress.running().length > 0) crashPoint('solving')
    }
  }

  let failure: unknown
  const ended = read().then(
    () => true as const,
    (error: unknown) => {
      // Otherwise the stream broke, and the solve reports the reason.
      if (!isServiceError(error)) failure = error
      return true as const
    },
  )

  return async ({ isComplete, signal }) => {
    const settled = () => signal.aborted || (progress.settled && isComplete())
    // Count the waits, do not measure time: if this process was blocked, the reader of the stream
    // was blocked, too.
    let [silentMs, heard] = [0, -1]
    while (silentMs < (settled() ? settledMs : silenceMs)) {
      if (await Promise.race([ended, wait(pollMs, false)])) break
      silentMs = heard === slices ? silentMs + pollMs : 0
      heard = slices
    }
    stream.cancel()
    if (failure) throw failure
    progress.end()
  }
}
