import type { Express, Request, Response } from 'express'
import { Problem } from '#api/problem.ts'
import { routes } from '#api/routes.ts'
import { PackedUpload } from '#api/sources/tree-calls.ts'
import type { Commands } from '../../../commands/commands.ts'
import type { SentBody } from '../../../commands/trees/tree-commands.ts'
import { callerOf } from '../../auth.ts'
import { readRequest } from '../../body/read-request.ts'
import { digestOf, tooLarge } from '../../body/received.ts'
import { RequestBody } from '../../body/request-body.ts'
import { jsonObject } from '../../body/small-body.ts'
import { appParam } from '../../body/upload.ts'
import { assertRunning, whileArriving } from '../../body/while-arriving.ts'
import type { ServerDeps } from '../../deps.ts'
import { knownNames, queryOf } from '../../query.ts'

/** `POST /v1/apps/{app}/trees` and `POST /v1/apps/{app}/packs`. */
export function addTreeRoutes(
  app: Express,
  { trees }: Pick<Commands, 'trees'>,
  server: ServerDeps,
): void {
  app.post(routes.trees, async (request: Request, response: Response) => {
    knownNames(queryOf(request))
    const [caller, name] = [callerOf(request), appParam(request)]
    refuseOtherEncoding(request)
    response.json(
      await arriving(request, response, server, (sent) => trees.send(caller, name, sent)),
    )
  })
  app.post(routes.packs, async (request: Request, response: Response) => {
    knownNames(queryOf(request))
    const [caller, name] = [callerOf(request), appParam(request)]
    const answer = request.is('application/json')
      ? await trees.takeUpload(caller, name, await uploadIn(request, response, server))
      : await arriving(request, response, server, (sent) => trees.sendPack(caller, name, sent))
    response.status(201).json(answer)
  })
}

async function arriving<T>(
  request: Request,
  response: Response,
  deps: ServerDeps,
  take: (sent: SentBody) => Promise<T>,
): Promise<T> {
  assertRunning(deps)
  const announcedBytes = Number(request.headers['content-length'] ?? 0)
  if (announcedBytes > deps.maxUploadBytes) throw tooLarge(deps.maxUploadBytes, announcedBytes)
  const contentDigest = digestOf(request)
  const receive = (signal: AbortSignal) =>
    take({
      body: new RequestBody(request),
      signal,
      ...(contentDigest !== undefined && { contentDigest }),
    })
  return whileArriving(request, response, { announcedBytes, forLater: true, deps, receive })
}

async function uploadIn(
  request: Request,
  response: Response,
  { bodyMs }: ServerDeps,
): Promise<string> {
  return readRequest(PackedUpload, await jsonObject(request, response, bodyMs)).upload
}

/** The first bytes say which of these it is. */
function refuseOtherEncoding(request: Request): void {
  const encoding = request.headers['content-encoding']?.toLowerCase() ?? 'identity'
  if (!['identity', 'gzip', 'zstd'].includes(encoding))
    throw new Problem(
      'request-invalid',
      `Send the manifest as it is, or with Content-Encoding: gzip or zstd, not ${encoding.slice(0, 50)}.`,
    )
}
