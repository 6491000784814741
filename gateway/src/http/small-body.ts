import type { Request, Response } from 'express'
import { Problem } from '#api/problem.ts'
import { askForBody } from './receive-source.ts'

const maxJsonBytes = 64 * 1024

/** A body of at most so many bytes, else `tooLarge`. */
export async function smallBody(
  request: Request,
  response: Response,
  maxBytes: number,
  tooLarge: Problem,
): Promise<Buffer> {
  askForBody(request, response)
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length
    if (sizeBytes > maxBytes) throw tooLarge
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** A body that is JSON, whatever its type is said to be. */
export async function jsonBody(request: Request, response: Response): Promise<unknown> {
  const tooLarge = new Problem('request-invalid', `The body has at most ${maxJsonBytes / 1024} KiB.`)
  const body = await smallBody(request, response, maxJsonBytes, tooLarge)
  try {
    return JSON.parse(body.toString())
  } catch (cause) {
    throw new Problem('request-invalid', `The body is not JSON: ${(cause as Error).message}.`, { cause })
  }
}
