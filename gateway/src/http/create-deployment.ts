import type { RequestHandler } from 'express'
import { readOptions } from '#api/options.ts'
import { fill, routes } from '#api/routes.ts'
import type { HttpParts } from './http-app.ts'
import { appOf, queryOf, receiveSource } from './receive-source.ts'

/** `POST /v1/apps/{app}/deployments`: for programs. The answer comes when the source is safe and the record is made. */
export function createDeployment(parts: HttpParts): RequestHandler {
  return async (request, response) => {
    const app = appOf(request)
    const query = [...queryOf(request)]
    readOptions(query)
    const { source, fields, secrets } = await receiveSource(request, response, parts)
    const { options } = readOptions([...query, ...fields])
    const deployment = await parts.submit(app, options, source, secrets)
    response
      .status(202)
      .location(fill(routes.deployment, { id: deployment.id }))
      .json(deployment)
  }
}
