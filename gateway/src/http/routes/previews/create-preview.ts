import type { Request, RequestHandler, Response } from 'express'
import { NewPreview, NewPreviewBody, type Preview } from '#api/previews/preview.ts'
import { readPreviewQuery } from '#api/previews/preview-query.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import type { PreviewParts } from '../../../commands/previews/preview-commands.ts'
import { over } from '../../../commands/previews/find-preview.ts'
import { callerOf, rightEndsOf } from '../../auth.ts'
import { readRequest } from '../../body/read-request.ts'
import { jsonObject } from '../../body/small-body.ts'
import { receiveSource } from '../../body/upload.ts'
import type { ServerDeps } from '../../deps.ts'
import { untilVerdict } from '../../log/until-verdict.ts'
import { booleanQuery, knownNames, queryOf } from '../../query.ts'
import { idempotencyKeyOf } from '../create-deployment.ts'

type Previews = Pick<Commands, 'previews'>
type Asked = { asked: NewPreview; wait: boolean; parts: Omit<PreviewParts, 'idempotencyKey'> }

/**
 * `POST /v1/previews`: JSON, an archive with the fields as query, or a form with fields and secrets
 * before its file `source`. 202 at once. With `wait=true` 201 once it is ready, or why it is not.
 */
export function createPreview(commands: Previews, server: ServerDeps): RequestHandler {
  const { previews } = commands
  return async (request, response) => {
    const caller = callerOf(request)
    const idempotencyKey = idempotencyKeyOf(request)
    const read = request.is('application/json') ? readJson : readUpload
    const { asked, wait, parts } = await read(request, response)
    const preview = await previews.create(caller, asked, { ...parts, idempotencyKey })

    response.location(fill(routes.preview, { id: preview.id }))
    if (!wait) return void response.status(202).json(preview)
    const { deployment: id, createdAt } = preview
    await untilVerdict({ id, createdAt }, response, server, rightEndsOf(request)).catch((error) => {
      throw about(preview, error)
    })
    const ended = await previews.find(caller, preview.id)
    if (ended.readyAt === null || ended.endedAt !== null || ended.state === 'destroying')
      throw about(ended, ended.problem ? Problem.from(ended.problem) : over(ended))
    response.status(201).json(ended)
  }

  function assertRoom(request: Request, asked: NewPreview): Promise<void> {
    const idempotencyKey = idempotencyKeyOf(request)
    return previews.assertRoom(callerOf(request), asked, { idempotencyKey })
  }

  async function readJson(request: Request, response: Response): Promise<Asked> {
    const wait = booleanQuery(knownNames(queryOf(request), 'wait'), 'wait')
    const body = readRequest(NewPreviewBody, await jsonObject(request, response, server.bodyMs))
    const { secrets: texts, source, ...more } = body
    const secrets = new Map(Object.entries(texts).map(([name, text]) => [name, Buffer.from(text)]))
    if (!source || !('upload' in source || 'tree' in source))
      return { asked: { ...more, ...(source && { source }) }, wait, parts: { secrets } }
    await assertRoom(request, more)
    return { asked: more, wait, parts: { secrets, sent: source } }
  }

  async function readUpload(request: Request, response: Response): Promise<Asked> {
    const query = [...queryOf(request)]
    const beforeFile = async (more: [string, string][]) => {
      const { fields } = readPreviewQuery([...query, ...more])
      if (fields['app'] !== undefined && fields['owner'] !== undefined)
        return assertRoom(request, readRequest(NewPreview, fields))
      const detail =
        'Say app and owner in the query, or as fields before the file source: the gateway reads no source for a preview that there may not be.'
      throw new Problem('request-invalid', detail)
    }
    if (!request.is('multipart/form-data')) await beforeFile([])

    const deps = { ...server, beforeFile }
    const { source: upload, fields, secrets } = await receiveSource(request, response, deps)
    const read = readPreviewQuery([...query, ...fields])
    const asked = readRequest(NewPreview, read.fields)
    return { asked, wait: read.wait, parts: { secrets, upload } }
  }
}

/** The problem with the preview that it is about. */
function about({ id, deployment }: Preview, error: unknown): unknown {
  if (!(error instanceof Problem)) return error
  const { code, message, facts } = error
  return new Problem(code, message, { cause: error, facts: { ...facts, preview: id, deployment } })
}
