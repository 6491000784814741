import type { Request, RequestHandler, Response } from 'express'
import type { Deployment } from '#api/deployment.ts'
import { parseOptions, readOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import { readSecrets } from '../body/read-secrets.ts'
import { readSource } from '../body/read-source.ts'
import { jsonObject } from '../body/small-body.ts'
import { appParam, receiveSource } from '../body/upload.ts'
import type { Principal } from '../../callers/principal.ts'
import type { Commands } from '../../commands/commands.ts'
import { callerOf } from '../auth.ts'
import type { UploadDeps } from '../deps.ts'
import { booleanQuery, knownQuery, queryOf } from '../query.ts'

/** `POST /v1/apps/{app}/deployments`: answers when the source and the record are saved. */
export function createDeployment(
  commands: Pick<Commands, 'submit' | 'deploySent' | 'deployExisting' | 'refuseBusyLane'>,
  upload: UploadDeps,
): RequestHandler {
  return async (request, response) => {
    const caller = callerOf(request)
    const app = appParam(request)
    const idempotencyKey = idempotencyKeyOf(request)
    const query = [...queryOf(request)]

    if (request.is('application/json')) {
      if (query.length > 0)
        throw new Problem('request-invalid', 'With a JSON body the options are fields of it.')
      const body = await jsonObject(request, response, upload.bodyMs)
      return respondAccepted(response, await fromJson(caller, body, { app, idempotencyKey }))
    }

    const { options: announced } = readOptions(query)
    await commands.refuseBusyLane(caller, { app, options: announced, idempotencyKey })
    const { source, fields, secrets } = await receiveSource(request, response, upload)
    const { options } = readOptions([...query, ...fields])
    respondAccepted(
      response,
      await commands.submit(caller, { app, options, source, secrets, idempotencyKey }),
    )
  }

  async function fromJson(
    caller: Principal,
    { source, secrets: texts, ...fields }: Record<string, unknown>,
    { app, idempotencyKey }: { app: string; idempotencyKey: string | null },
  ): Promise<Deployment> {
    const secrets = readSecrets(texts)
    const options = parseOptions(fields)
    const { image, sent } = readSource(source)
    if (image) {
      if (secrets.size > 0)
        throw new Problem(
          'secret-invalid',
          'An image that exists is not built: it takes no secrets.',
        )
      const requestBody = { source: image, options }
      const target = { app, options, idempotencyKey, requestBody }
      return commands.deployExisting(caller, image, target)
    }
    await commands.refuseBusyLane(caller, { app, options, idempotencyKey })
    return commands.deploySent(caller, { app, options, source: sent, secrets, idempotencyKey })
  }
}

/**
 * `POST /v1/deployments/{id}/retry`: deploys the kept source; `rebuild=true`: without cached steps;
 * `reuse-image=true`: the same image.
 */
export function retryDeployment({ retry }: Pick<Commands, 'retry'>): RequestHandler {
  return async (request, response) => {
    const query = knownQuery(request, 'reuse-image', 'rebuild')
    const rebuild = booleanQuery(query, 'rebuild')
    const how = { reuseImage: booleanQuery(query, 'reuse-image'), ...(rebuild && { rebuild }) }
    const id = String(request.params['id'])
    respondAccepted(
      response,
      await retry(callerOf(request), id, { ...how, idempotencyKey: idempotencyKeyOf(request) }),
    )
  }
}

/** Answers 202: the record is saved, and the deployment runs whether or not the caller stays. */
export function respondAccepted(response: Response, deployment: Deployment): void {
  response
    .status(202)
    .location(fill(routes.deployment, { id: deployment.id }))
    .json(deployment)
    .once('finish', () => crashPoint('promised'))
}

/** The caller's key for this request. The same key gets the same deployment. */
export function idempotencyKeyOf(request: Request): string | null {
  const key = request.get('Idempotency-Key') ?? null
  if (key !== null && !/^[\x21-\x7e]{1,200}$/.test(key))
    throw new Problem('option-invalid', 'Idempotency-Key is 1 to 200 visible ASCII characters.')
  return key
}
