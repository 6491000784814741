import type { Request, Response } from 'express'
import { AppName, appNameRule } from '#api/app.ts'
import { Problem } from '#api/problem.ts'
import { callerOf } from '../auth.ts'
import type { UploadDeps } from '../deps.ts'
import { receiveForm } from './receive-form.ts'
import { receive, type Received, tooLarge } from './received.ts'
import { RequestBody } from './request-body.ts'
import { askForBody } from './small-body.ts'

/** The app in the path. Throws `app-name-invalid`. */
export function appParam(request: Request): string {
  const app = AppName.safeParse(request.params['app'])
  if (!app.success) throw new Problem('app-name-invalid', appNameRule)
  return app.data
}

/** Receives a source, raw or as a form. Call it after all other checks: it requests the body. */
export async function receiveSource(
  request: Request,
  response: Response,
  deps: UploadDeps,
): Promise<Received> {
  if (deps.stopping.aborted)
    throw new Problem(
      'stopping',
      'The gateway is stopping and accepts no uploads. Send it again in a moment.',
    )
  const announcedBytes = Number(request.headers['content-length'] ?? 0)
  if (announcedBytes > deps.maxUploadBytes) throw tooLarge(deps.maxUploadBytes, announcedBytes)

  const { socket } = request
  const readBefore = socket.bytesRead
  const arrivedBytes = () =>
    // The first bytes of a body may have arrived with the head.
    Math.max(socket.bytesRead - readBefore, request.complete ? announcedBytes : 0)
  const sending = { announcedBytes, arrivedBytes }
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
    const received = request.is('multipart/form-data')
      ? await receiveForm(request, deps, gone.signal)
      : {
          source: await receive(request, new RequestBody(request), deps, gone.signal),
          fields: [],
          secrets: new Map(),
        }
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

const watchMs = 250

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
