import type { Express, Request, Response } from 'express'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import type { KeptUpload } from '#api/sources/upload.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { RequestBody } from '../../body/request-body.ts'
import { assertRunning, whileArriving } from '../../body/while-arriving.ts'
import type { ServerDeps } from '../../deps.ts'
import { knownNames, knownQuery, queryOf } from '../../query.ts'
import { readNewUpload, readPart, wholeHeader } from './read-headers.ts'
import { describeTus, requireVersion, setProgress } from './tus.ts'

type Uploads = Pick<Commands, 'uploads'>
type Part = ReturnType<typeof readPart>

/** Resumable uploads by tus 1.0.0. `speakTus` has gone before. */
export function addUploadRoutes(app: Express, commands: Uploads, server: ServerDeps): void {
  const { uploads } = commands
  app.use(routes.uploads, requireVersion)
  app.options(routes.uploads, describeTus(server.maxUploadBytes))
  app.post(routes.uploads, async (request: Request, response: Response) => {
    const made = await create(request, response, commands, server)
    setProgress(response, made)
    response
      .status(201)
      .location(fill(routes.upload, { id: made.id }))
      .end()
  })
  app.head(routes.upload, async (request: Request, response: Response) => {
    knownQuery(request)
    const found = await uploads.find(callerOf(request), idOf(request))
    setProgress(response, found)
    response.set('Upload-Length', String(found.lengthBytes))
    if (found.metadata !== null) response.set('Upload-Metadata', found.metadata)
    response.status(200).end()
  })
  app.patch(routes.upload, async (request: Request, response: Response) => {
    knownNames(queryOf(request))
    const part = readPart(request, wholeHeader(request, 'Upload-Offset'))
    // The request before it on this upload ends here, so that its last bytes count.
    const found = await uploads.find(callerOf(request), idOf(request))
    setProgress(response, await append(request, response, { part, found, commands, server }))
    response.status(204).end()
  })
  app.delete(routes.upload, async (request: Request, response: Response) => {
    knownQuery(request)
    await uploads.remove(callerOf(request), idOf(request))
    response.status(204).end()
  })
}

/** Makes an upload, with the first bytes if the request has some. */
async function create(
  request: Request,
  response: Response,
  commands: Uploads,
  server: ServerDeps,
): Promise<KeptUpload> {
  const { uploads } = commands
  const caller = callerOf(request)
  knownNames(queryOf(request))
  const asked = readNewUpload(request, server.maxUploadBytes)
  const part = hasBody(request) ? readPart(request, 0) : null
  assertFits(part, asked.lengthBytes)
  assertRunning(server)
  // Refuses early what the disk cannot hold. Later, each part has its own room.
  const kind = { isPart: true, forLater: true }
  server
    .assertAccepting({ announcedBytes: asked.lengthBytes, arrivedBytes: () => 0, ...kind })
    ?.[Symbol.dispose]()

  const made = await uploads.create(caller, asked)
  if (!part) return made
  try {
    return await append(request, response, { part, found: made, commands, server })
  } catch (error) {
    // Its sender does not know its id, and sends it again.
    await uploads.remove(caller, made.id)
    throw error
  }
}

type Append = { part: Part; found: KeptUpload; commands: Uploads; server: ServerDeps }

function append(
  request: Request,
  response: Response,
  { part, found, commands, server }: Append,
): Promise<KeptUpload> {
  const { offsetBytes, checksum } = part
  const missingBytes = found.lengthBytes - found.offsetBytes
  if (offsetBytes === found.offsetBytes) assertFits(part, missingBytes)
  return whileArriving(request, response, {
    announcedBytes: part.announcedBytes ?? missingBytes,
    isPart: true,
    forLater: true,
    deps: server,
    receive(signal) {
      const more = { offsetBytes, checksum, body: new RequestBody(request), signal }
      return commands.uploads.append(callerOf(request), found.id, more)
    },
  })
}

function assertFits(part: Part | null, missingBytes: number): void {
  if (!part?.announcedBytes || part.announcedBytes <= missingBytes) return
  throw new Problem(
    'upload-too-long',
    `The upload lacks ${missingBytes} bytes, and this request has ${part.announcedBytes}. Nothing of it was kept.`,
    { facts: { missingBytes } },
  )
}

const hasBody = ({ headers }: Request) =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

const idOf = ({ params }: Request) => String(params['id'])
