import type { RequestHandler } from 'express'
import { Problem } from '#api/problem.ts'
import { maxSecretBytes, type SecretFacts } from '#api/secret.ts'
import { appParam } from '../body/upload.ts'
import { smallBody } from '../body/small-body.ts'

/** Build secrets, stored per app. No call returns their values. */
export type SecretCommands = {
  list(app: string): Promise<SecretFacts[]>
  put(app: string, name: string, value: Uint8Array): Promise<SecretFacts>
  /** Throws a Problem if the app has no secret of that name. */
  remove(app: string, name: string): Promise<void>
}
type Parts = { secrets: SecretCommands; bodyMs?: number }

/** `GET /v1/apps/{app}/secrets`: names and times. */
export function listSecrets({ secrets }: Parts): RequestHandler {
  return async (request, response) =>
    void response.json({ secrets: await secrets.list(appParam(request)) })
}

/** `PUT /v1/apps/{app}/secrets/{name}`: the body is the value, byte for byte. */
export function putSecret({ secrets, bodyMs }: Parts): RequestHandler {
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
export function deleteSecret({ secrets }: Parts): RequestHandler {
  return async (request, response) => {
    await secrets.remove(appParam(request), String(request.params['name']))
    response.status(204).end()
  }
}
