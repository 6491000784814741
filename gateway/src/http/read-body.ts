import type { Request, Response } from 'express'
import { Problem, type ProblemCode } from '#api/problem.ts'
import { askForBody } from './receive-source.ts'

const maxJsonBytes = 1024 * 1024

/** A small body, whole. */
export async function readBody(
  request: Request,
  response: Response,
  limitBytes: number,
  code: ProblemCode,
  what: string,
): Promise<Buffer> {
  askForBody(request, response)
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length
    if (sizeBytes > limitBytes) throw new Problem(code, `${what} has at most ${limitBytes / 1024} KiB.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** A body that is one JSON object. */
export async function readJson(request: Request, response: Response): Promise<Record<string, unknown>> {
  return parseJson((await readBody(request, response, maxJsonBytes, 'request-invalid', 'A JSON body')).toString())
}

export function parseJson(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new Problem('request-invalid', 'The body says that it is JSON and is not.', { cause })
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new Problem('request-invalid', 'The body is a JSON object: {"source": …}.')
}
