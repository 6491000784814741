import { once } from 'node:events'
import type { Readable } from 'node:stream'
import type { Request } from 'express'
import type { SourceFacts } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { UploadDeps } from '../deps.ts'

/** The content of an upload, sent raw or as a form. */
export type Received = {
  source: SourceFacts
  fields: [string, string][]
  secrets: Map<string, Buffer>
}

/** Passes an archive to `receive`, with its digest: of a header, or of a trailer. */
export function receive(
  request: Request,
  body: Readable,
  deps: Pick<UploadDeps, 'receive'>,
  signal: AbortSignal,
): Promise<SourceFacts> {
  const contentDigest = digestOf(request)
  const lateDigest = contentDigest === undefined && announcesDigest(request) && trailerOf(request)
  return deps.receive(body, {
    ...(contentDigest !== undefined && { contentDigest }),
    ...(lateDigest && { lateDigest }),
    signal,
  })
}

/** A body that is sent as a whole is its representation: both fields of RFC 9530 mean the same. */
export const digestOf = (request: Request): string | undefined =>
  request.get('Content-Digest') ?? request.get('Repr-Digest')

const announcesDigest = (request: Request): boolean =>
  (request.get('Trailer') ?? '')
    .toLowerCase()
    .split(',')
    .some((name) => name.trim() === 'content-digest')

/** Waits for the end of the request. A proxy may drop the trailer. */
const trailerOf = (request: Request) => async (): Promise<string | undefined> => {
  if (!request.complete) await once(request, 'end')
  return request.trailers['content-digest']
}

export const tooLarge = (limitBytes: number, announcedBytes?: number) =>
  new Problem(
    'archive-too-large',
    `The limit is ${Math.floor(limitBytes / 2 ** 20)} MiB. Leave out what the build does not need, or raise TARMAC_MAX_UPLOAD_MIB.`,
    { facts: { limitBytes, ...(announcedBytes !== undefined && { announcedBytes }) } },
  )
