import type { Request, Response } from 'express'
import { AppName, appNameRule } from '#api/app.ts'
import { Problem } from '#api/problem.ts'
import type { UploadDeps } from '../deps.ts'
import { receive, type Received, tooLarge } from './received.ts'
import { RequestBody } from './request-body.ts'
import { assertRunning, whileArriving } from './while-arriving.ts'

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
  assertRunning(deps)
  const announcedBytes = Number(request.headers['content-length'] ?? 0)
  if (announcedBytes > deps.maxUploadBytes) throw tooLarge(deps.maxUploadBytes, announcedBytes)

  const receiveAll = async (gone: AbortSignal): Promise<Received> =>
    request.is('multipart/form-data')
      ? (await formReader()).receiveForm(request, deps, gone)
      : {
          source: await receive(request, new RequestBody(request), deps, gone),
          fields: [],
          secrets: new Map(),
        }
  return whileArriving(request, response, { announcedBytes, deps, receive: receiveAll })
}

/** Loaded for the first form, because most sources come without one. */
const formReader = () => import('./receive-form.ts')
