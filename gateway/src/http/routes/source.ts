import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { Express, RequestHandler } from 'express'
import { errorCode } from '#api/error-code.ts'
import { routes } from '#api/routes.ts'
import type { Commands } from '../../commands/commands.ts'
import { callerOf, cutWithRight } from '../auth.ts'
import { knownQuery } from '../query.ts'

const stuckMs = 30_000
/** A download that takes longer is cut, so that it cannot keep the gateway awake for ever. */
const maxMs = 3_600_000

type SourceRoutes = Pick<Commands, 'sourceFiles'>

/** The source of a deployment, and how it differs from what was live before. */
export function addSourceRoutes(app: Express, commands: SourceRoutes): void {
  app.get(routes.source, downloadSource(commands))
  app.get(routes.changes, readChanges(commands))
}

/**
 * `GET /v1/deployments/{id}/source`: the files of its source as a tar archive, compressed if the caller
 * accepts gzip. The connection breaks if they cannot all be read.
 */
function downloadSource({ sourceFiles }: SourceRoutes): RequestHandler {
  return async (request, response) => {
    knownQuery(request)
    const archive = await sourceFiles.archive(callerOf(request), String(request.params['id']))
    const pieces = archive.read()
    const first = await pieces.next() // a failure there is an answer, later ones break the connection
    const gzip = request.acceptsEncodings('gzip') === 'gzip'
    response.set({
      'Content-Type': 'application/x-tar',
      'Content-Disposition': `attachment; filename="${archive.name}"`,
      'Cache-Control': 'no-store',
      Vary: 'Accept-Encoding',
      ...(gzip ? { 'Content-Encoding': 'gzip' } : { 'Content-Length': String(archive.bytes) }),
    })

    response.setTimeout(stuckMs, () => response.destroy())
    cutWithRight(request, response)
    const late = setTimeout(() => response.destroy(), maxMs)
    response.once('close', () => clearTimeout(late))
    const body = Readable.from(whole(first, pieces), { objectMode: false })
    await pipeline([body, ...(gzip ? [createGzip()] : []), response]).catch((error: unknown) => {
      if (errorCode(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
    })
  }
}

async function* whole(
  first: IteratorResult<Buffer, void>,
  rest: AsyncGenerator<Buffer, void>,
): AsyncGenerator<Buffer, void> {
  if (!first.done) yield first.value
  yield* rest
}

/** `GET /v1/deployments/{id}/changes`. */
function readChanges({ sourceFiles }: SourceRoutes): RequestHandler {
  return async (request, response) => {
    knownQuery(request)
    response.json(await sourceFiles.compare(callerOf(request), String(request.params['id'])))
  }
}
