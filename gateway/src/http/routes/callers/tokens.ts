import type { Express, Request, Response } from 'express'
import { NewDeployLink, NewToken, Rotation } from '#api/callers/token.ts'
import { routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { jsonBody } from '../../body/small-body.ts'
import { appParam } from '../../body/upload.ts'
import { booleanQuery, knownQuery, pageQuery } from '../../query.ts'
import { readRequest } from '../../body/read-request.ts'

type TokenCommands = { tokens: Commands['tokens'] }

/** Tokens of callers. An answer that holds a token must not be kept by anything on its way. */
export function addTokenRoutes(
  app: Express,
  { tokens }: TokenCommands,
  { bodyMs }: { bodyMs?: number },
): void {
  /** A request without a body means the defaults. */
  const bodyOf = (request: Request, response: Response): Promise<unknown> | object => {
    const { 'content-length': bytes = '0', 'transfer-encoding': encoding } = request.headers
    return bytes === '0' && encoding === undefined ? {} : jsonBody(request, response, bodyMs)
  }

  app.post(routes.tokens, async (request, response) => {
    const wanted = readRequest(NewToken, await jsonBody(request, response, bodyMs))
    const made = await tokens.create(callerOf(request), wanted)
    response.status(201).set('Cache-Control', 'no-store').json(made)
  })
  app.get(routes.tokens, async (request, response) => {
    const query = knownQuery(request, 'limit', 'cursor', 'all')
    const page = { ...pageQuery(query), all: booleanQuery(query, 'all') }
    response.json(await tokens.list(callerOf(request), page))
  })
  app.get(routes.token, async (request, response) => {
    knownQuery(request)
    response.json(await tokens.find(callerOf(request), tokenParam(request)))
  })
  app.delete(routes.token, async (request, response) => {
    knownQuery(request)
    response.json(await tokens.revoke(callerOf(request), tokenParam(request)))
  })
  app.post(routes.rotateToken, async (request, response) => {
    const how = readRequest(Rotation, await bodyOf(request, response))
    const made = await tokens.rotate(callerOf(request), tokenParam(request), how)
    response.set('Cache-Control', 'no-store').json(made)
  })
  app.post(routes.deployLink, async (request, response) => {
    const target = appParam(request)
    const { owner, expires } = readRequest(NewDeployLink, await bodyOf(request, response))
    const made = await tokens.createLink(callerOf(request), { app: target, owner }, { expires })
    response.status(201).set('Cache-Control', 'no-store').json(made)
  })
}

/** The id or the name of a token. */
const tokenParam = (request: Request) => String(request.params['token'])
