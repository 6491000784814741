import type { Request, Response } from 'express'
import { Problem } from '#api/problem.ts'
import { smallBody } from '../../body/small-body.ts'

const maxBytes = 64 * 1024

/** The fields of a form that a page sends. */
export async function readForm(request: Request, response: Response): Promise<URLSearchParams> {
  if (!request.is('application/x-www-form-urlencoded'))
    throw new Problem('form-invalid', 'Forms of the dashboard are sent as a browser does.')
  const tooLarge = new Problem('form-invalid', `The form has at most ${maxBytes / 1024} KiB.`)
  const body = await smallBody(request, response, { maxBytes, tooLarge })
  return new URLSearchParams(body.toString('utf8'))
}
