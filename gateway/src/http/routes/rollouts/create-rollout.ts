import type { Request, RequestHandler, Response } from 'express'
import { parseOptions, readOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { NewRollout, type Rollout } from '#api/rollout.ts'
import { fill, routes } from '#api/routes.ts'
import type { SentSource } from '#api/sources/sent-source.ts'
import { isLimited, type Principal } from '../../../callers/principal.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { asObject } from '../../body/json.ts'
import { readSecrets } from '../../body/read-secrets.ts'
import { readSource } from '../../body/read-source.ts'
import { jsonObject } from '../../body/small-body.ts'
import { receiveSource } from '../../body/upload.ts'
import type { UploadDeps } from '../../deps.ts'
import { idempotencyKeyOf } from '../create-deployment.ts'

type Creates = Pick<Commands, 'assertMayRollOut' | 'createRollout' | 'submit' | 'deploySent'>
type Deps = { commands: Creates; upload: UploadDeps }
type Asked = { caller: Principal; idempotencyKey: string | null }

/**
 * `POST /v1/rollouts`: JSON with `source` and `targets`, or a form with the file `source`, the field
 * `rollout` (the same JSON without a source) and build options. An archive is built once, for the
 * first target's app.
 */
export function createRollout(commands: Creates, upload: UploadDeps): RequestHandler {
  return async (request, response) => {
    const read = request.is('multipart/form-data') ? fromForm : fromJson
    const made = await read(request, response, { commands, upload })
    response
      .status(202)
      .location(fill(routes.rollout, { id: made.id }))
      .json(made)
  }
}

async function fromJson(
  request: Request,
  response: Response,
  { commands, upload }: Deps,
): Promise<Rollout> {
  const asked = askedOf(request)
  const { source, ...body } = await jsonObject(request, response, upload.bodyMs)
  const { image, sent } = readSource(source)
  if (sent) return fromSent(sent, body, { ...asked, commands })
  const rollout = { ...readRollout(body), source: image }
  const { caller, idempotencyKey } = asked
  return commands.createRollout(caller, rollout, null, { requestBody: rollout, idempotencyKey })
}

/** `options` and `secrets` are those of the build. */
async function fromSent(
  source: SentSource,
  { options: given = {}, secrets: texts, ...body }: Record<string, unknown>,
  { caller, idempotencyKey, commands }: Asked & Pick<Deps, 'commands'>,
): Promise<Rollout> {
  const rollout = { ...readRollout(body), source: null }
  const options = parseOptions(asObject(given))
  await commands.assertMayRollOut(caller, rollout.targets)
  const { id } = await commands.deploySent(caller, {
    app: rollout.targets[0]!.app,
    options: { ...options, deploy: false },
    source,
    secrets: readSecrets(texts),
    idempotencyKey,
  })
  const requestBody = [rollout, options, source]
  return commands.createRollout(caller, rollout, id, { requestBody, idempotencyKey })
}

/**
 * The field `rollout` comes before the file, unless the caller may deploy to all apps: the gateway
 * reads no source for targets that the caller may not see.
 */
async function fromForm(
  request: Request,
  response: Response,
  { commands, upload }: Deps,
): Promise<Rollout> {
  const { caller, idempotencyKey } = askedOf(request)
  await commands.assertMayRollOut(caller, [])
  const beforeFile = async (fields: [string, string][]) => {
    const early = fields.find(([name]) => name === 'rollout')
    if (early) await commands.assertMayRollOut(caller, readRollout(asObject(early[1])).targets)
    else if (isLimited(caller))
      throw new Problem(
        'request-invalid',
        `Send the field rollout before the file source: ${caller.name} is limited to some apps, and the gateway checks the targets first.`,
      )
  }
  const { source, fields, secrets } = await receiveSource(request, response, {
    ...upload,
    beforeFile,
  })
  const rolloutField = fields.find(([name]) => name === 'rollout')
  if (!rolloutField)
    throw new Problem(
      'request-invalid',
      'The form has no field named rollout: {"targets": [{"app": …}]}.',
    )

  const rollout = { ...readRollout(asObject(rolloutField[1])), source: null }
  const { options } = readOptions(fields.filter((field) => field !== rolloutField))
  const build = {
    app: rollout.targets[0]!.app,
    options: { ...options, deploy: false },
    source,
    secrets,
  }

  const { id } = await commands.submit(caller, { ...build, idempotencyKey })
  return commands.createRollout(caller, rollout, id, {
    requestBody: [rollout, options, source.digest],
    idempotencyKey,
  })
}

const askedOf = (request: Request): Asked => ({
  caller: callerOf(request),
  idempotencyKey: idempotencyKeyOf(request),
})

function readRollout(body: Record<string, unknown>): Omit<NewRollout, 'source'> {
  const parsed = NewRollout.safeParse(body)
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!
    throw new Problem(
      'request-invalid',
      `The rollout is invalid: ${[...path, message].join(': ')}.`,
    )
  }

  const targets = parsed.data.targets.map(({ app, ...options }) => ({
    app,
    options: parseOptions(options),
  }))

  const names = targets.map(
    ({ app, options }) => `${app}${options.owner ? ` of ${options.owner}` : ''}`,
  )
  const seen = new Set<string>()
  const twice = names.find((name) => seen.size === seen.add(name).size)
  if (twice)
    throw new Problem('option-invalid', `The target ${twice} is named twice; name it once.`)
  return { ...parsed.data, targets }
}
