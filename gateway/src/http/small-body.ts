import type { Request, Response } from 'express'
import { Problem } from '#api/problem.ts'
import { askForBody } from './receive-source.ts'

const maxJsonBytes = 1024 * 1024

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
  return parsed((await smallBody(request, response, maxJsonBytes, tooLarge)).toString())
}

/** A body, or the text of a form's field, that is a JSON object. */
export const jsonObject = async (request: Request, response: Response) => asObject(await jsonBody(request, response))
export function asObject(given: unknown): Record<string, unknown> {
  const value = typeof given === 'string' ? parsed(given) : given
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new Problem('request-invalid', 'The body is not a JSON object, like {"source": …}.')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Problem('request-invalid', `The body is not JSON: ${(cause as Error).message}.`, { cause })
  }
}
