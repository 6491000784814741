import type { Request, Response } from 'express'
import { Problem } from '#api/problem.ts'
import { callerOf } from '../auth.ts'
import type { Arriving, UploadDeps } from '../deps.ts'
import { askForBody } from './small-body.ts'

type Receiving<T> = Omit<Arriving, 'arrivedBytes'> & {
  deps: UploadDeps
  receive: (gone: AbortSignal) => Promise<T>
}

const watchMs = 250

/**
 * Requests the body of an upload, and runs `receive` while it arrives: with room on the disk, within
 * the quotas of its caller, and until `gone` fires. `gone` fires when the connection breaks or the
 * quota is used up.
 */
export async function whileArriving<T>(
  request: Request,
  response: Response,
  { announcedBytes, deps, receive, ...kind }: Receiving<T>,
): Promise<T> {
  assertRunning(deps)
  const { socket } = request
  const readBefore = socket.bytesRead
  const arrivedBytes = () =>
    // The first bytes of a body may have arrived with the head.
    Math.max(socket.bytesRead - readBefore, request.complete ? announcedBytes : 0)
  const sending = { announcedBytes, arrivedBytes, ...kind }
  using _room = deps.assertAccepting(sending) ?? null
  await using quota = deps.admission.upload(callerOf(request), sending)

  const gone = new AbortController()
  const lost = () =>
    gone.abort(
      new Problem(
        'archive-truncated',
        'The connection broke before the upload was complete. Send it again.',
      ),
    )
  response.once('close', lost)
  const watch = watchQuota(quota, gone)
  if (response.destroyed) lost()

  askForBody(request, response)
  try {
    const received = await receive(gone.signal)
    // A small one may arrive between two looks.
    quota.assertWithin()
    return received
  } catch (error) {
    throw gone.signal.aborted ? gone.signal.reason : error
  } finally {
    response.off('close', lost)
    clearInterval(watch)
  }
}

export function assertRunning({ stopping }: Pick<UploadDeps, 'stopping'>): void {
  if (stopping.aborted)
    throw new Problem(
      'stopping',
      'The gateway is stopping and accepts no uploads. Send it again in a moment.',
    )
}

/** Ends an upload that arrives beyond its team's quota: its size may not be known before. */
function watchQuota({ assertWithin }: { assertWithin: () => void }, gone: AbortController) {
  return setInterval(() => {
    try {
      assertWithin()
    } catch (problem) {
      gone.abort(problem)
    }
  }, watchMs)
}
