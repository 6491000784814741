import type { RequestHandler } from 'express'
import { Problem } from '#api/problem.ts'
import { maxSecretBytes } from '#api/secret.ts'
import { smallBody } from '../body/small-body.ts'
import { appParam } from '../body/upload.ts'
import type { SecretCommands } from '../deps.ts'
type SecretsDeps = { secrets: SecretCommands; bodyMs?: number }

/** `GET /v1/apps/{app}/secrets`: names and times. */
export function listSecrets({ secrets }: SecretsDeps): RequestHandler {
  return async (request, response) =>
    void response.json({ secrets: await secrets.list(appParam(request)) })
}

/** `PUT /v1/apps/{app}/secrets/{name}`: the body is the value, byte for byte. */
export function putSecret({ secrets, bodyMs }: SecretsDeps): RequestHandler {
  return async (request, response) => {
    const app = appParam(request)
    const tooLarge = new Problem(
      'secret-invalid',
      `A secret has at most ${maxSecretBytes / 1024} KiB.`,
    )
    const value = await smallBody(request, response, { maxBytes: maxSecretBytes, tooLarge, bodyMs })
    response.json(await secrets.put(app, String(request.params['name']), value))
  }
}

/** `DELETE /v1/apps/{app}/secrets/{name}`. */
export function deleteSecret({ secrets }: SecretsDeps): RequestHandler {
  return async (request, response) => {
    await secrets.remove(appParam(request), String(request.params['name']))
    response.status(204).end()
  }
}
