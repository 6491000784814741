import type { Request, Response } from 'express'
import { Problem } from '#api/problem.ts'
import { readBody } from '#api/flow/read-body.ts'
import { asObject, parseJson } from './json.ts'
import { RequestBody } from './request-body.ts'

const maxJsonBytes = 1024 * 1024
/** Time for a small body, and for the part of a form outside its file. */
export const defaultBodyMs = 10_000

type Limits = { maxBytes: number; tooLarge: Problem; bodyMs?: number | undefined }

/**
 * Reads a body of at most `maxBytes`, within `bodyMs` (10 s).
 * Throws `tooLarge`, `body-too-slow`, or `body-truncated` if the sender disconnects early.
 */
export async function smallBody(
  request: Request,
  response: Response,
  limits: Limits,
): Promise<Buffer> {
  const { maxBytes, tooLarge, bodyMs = defaultBodyMs } = limits
  refuseEncoded(request)
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge

  askForBody(request, response)
  const body = new RequestBody(request)
  const timer = setTimeout(() => body.destroy(tooSlow(bodyMs)), bodyMs)

  try {
    return await readBody(body, maxBytes, () => tooLarge)
  } catch (error) {
    throw error instanceof Problem ? error : truncated(error)
  } finally {
    clearTimeout(timer)
  }
}

/** Sends 100 Continue to a sender that waits for it. HTTP/1.0 has no such answer. */
export function askForBody(request: Request, response: Response): void {
  const asks =
    request.headers.expect?.toLowerCase() === '100-continue' && request.httpVersion === '1.1'
  if (asks) response.writeContinue()
}

/** Throws if a body other than an archive is compressed, because the gateway does not unpack it. */
export function refuseEncoded(request: Request): void {
  const encoding = request.headers['content-encoding']?.toLowerCase() ?? 'identity'
  if (encoding !== 'identity')
    throw new Problem(
      'request-invalid',
      `Send this body as it is, not with Content-Encoding: ${encoding.slice(0, 50)}.`,
    )
}

/** Reads a JSON body, whatever its Content-Type. */
export async function jsonBody(
  request: Request,
  response: Response,
  bodyMs?: number,
): Promise<unknown> {
  const tooLarge = new Problem(
    'request-invalid',
    `The body has at most ${maxJsonBytes / 1024} KiB.`,
  )
  const body = await smallBody(request, response, { maxBytes: maxJsonBytes, tooLarge, bodyMs })
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch (cause) {
    throw new Problem('request-invalid', 'The body is not UTF-8. JSON is sent as UTF-8.', { cause })
  }
  return parseJson(text)
}

/** Reads a body that is a JSON object. */
export const jsonObject = async (request: Request, response: Response, bodyMs?: number) =>
  asObject(await jsonBody(request, response, bodyMs))

export const tooSlow = (bodyMs: number): Problem =>
  new Problem(
    'body-too-slow',
    `The body was not complete within ${bodyMs / 1000} s. Send it again over a faster connection.`,
    { facts: { bodyMs } },
  )

const truncated = (cause?: unknown): Problem =>
  new Problem(
    'body-truncated',
    'The connection broke before the body was complete. Send it again.',
    { cause },
  )
