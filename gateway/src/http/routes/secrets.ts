import type { RequestHandler } from 'express'
import { Problem } from '#api/problem.ts'
import { maxSecretBytes } from '#api/secret.ts'
import type { Commands } from '../../commands/commands.ts'
import { callerOf } from '../auth.ts'
import { smallBody } from '../body/small-body.ts'
import { appParam } from '../body/upload.ts'

/** `GET /v1/apps/{app}/secrets`: names and times. */
export function listSecrets({ secrets }: Pick<Commands, 'secrets'>): RequestHandler {
  return async (request, response) =>
    void response.json({ secrets: await secrets(callerOf(request), appParam(request)) })
}

/** `PUT /v1/apps/{app}/secrets/{name}`: the body is the value, byte for byte. */
export function putSecret(
  commands: Pick<Commands, 'putSecret'>,
  { bodyMs }: { bodyMs?: number },
): RequestHandler {
  return async (request, response) => {
    const app = appParam(request)
    const tooLarge = new Problem(
      'secret-invalid',
      `A secret has at most ${maxSecretBytes / 1024} KiB.`,
    )
    const value = await smallBody(request, response, { maxBytes: maxSecretBytes, tooLarge, bodyMs })
    response.json(
      await commands.putSecret(callerOf(request), app, String(request.params['name']), value),
    )
  }
}

/** `DELETE /v1/apps/{app}/secrets/{name}`. */
export function deleteSecret(commands: Pick<Commands, 'deleteSecret'>): RequestHandler {
  return async (request, response) => {
    const name = String(request.params['name'])
    await commands.deleteSecret(callerOf(request), appParam(request), name)
    response.status(204).end()
  }
}
