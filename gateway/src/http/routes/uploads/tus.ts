import type { RequestHandler, Response } from 'express'
import { Problem } from '#api/problem.ts'
import type { KeptUpload } from '#api/sources/upload.ts'

// The headers of tus 1.0.0: https://tus.io/protocols/resumable-upload

const version = '1.0.0'
const extensions = [
  'creation',
  'creation-with-upload',
  'checksum',
  'termination',
  'expiration',
] as const
export const checksumAlgorithms = ['sha256', 'sha1'] as const
const methods = ['POST', 'HEAD', 'PATCH', 'DELETE', 'OPTIONS', 'GET', 'PUT']

/**
 * Goes before everything that may refuse the request: each answer says the version. A client that
 * cannot send PATCH or DELETE names its method in a header.
 */
export const speakTus: RequestHandler = (request, response, next) => {
  response.set('Tus-Resumable', version)
  const method = request.get('X-HTTP-Method-Override')
  if (method !== undefined) {
    if (!methods.includes(method))
      throw new Problem(
        'request-invalid',
        `X-HTTP-Method-Override is one of ${methods.join(', ')}.`,
      )
    request.method = method
  }
  next()
}

/** Refuses other versions of tus, as the protocol asks, before anything is done. */
export const requireVersion: RequestHandler = (request, response, next) => {
  const asked = request.get('Tus-Resumable')
  if (request.method !== 'OPTIONS' && asked !== version) {
    response.set('Tus-Version', version)
    const found = asked === undefined ? 'The request names none' : `Not ${asked.slice(0, 20)}`
    throw new Problem(
      'tus-version-unsupported',
      `Resumable uploads speak tus ${version}. ${found}: send the header Tus-Resumable: ${version}.`,
    )
  }
  next()
}

/** What the gateway takes of tus. */
export const describeTus =
  (maxBytes: number): RequestHandler =>
  (_request, response) =>
    void response
      .set({
        'Tus-Version': version,
        'Tus-Max-Size': String(maxBytes),
        'Tus-Extension': extensions.join(','),
        'Tus-Checksum-Algorithm': checksumAlgorithms.join(','),
      })
      .status(204)
      .end()

/** Says how far an upload is, and until when it is kept. */
export function setProgress(response: Response, { offsetBytes, expiresAt }: KeptUpload): void {
  response.set({
    'Upload-Offset': String(offsetBytes),
    'Upload-Expires': expiresAt.toUTCString(),
    'Cache-Control': 'no-store',
  })
}
