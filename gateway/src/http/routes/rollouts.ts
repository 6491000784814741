import type { RequestHandler } from 'express'
import { parseOptions, readOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { NewRollout, type Rollout } from '#api/rollout.ts'
import { fill, routes } from '#api/routes.ts'
import { asObject } from '../body/json.ts'
import { readImageSource } from '../body/read-image-source.ts'
import { jsonObject } from '../body/small-body.ts'
import { receiveSource } from '../body/upload.ts'
import type { Commands } from '../../commands/commands.ts'
import { isLimited } from '../../callers/principal.ts'
import { callerOf } from '../auth.ts'
import type { UploadDeps } from '../deps.ts'
import { knownQuery, pageQuery } from '../query.ts'
import { readCancelRequest } from './cancel-deployment.ts'
import { idempotencyKeyOf } from './create-deployment.ts'

/**
 * `POST /v1/rollouts`: JSON with `source` and `targets`, or a form with the file `source`, the
 * field `rollout` (the same JSON without a source) and build options. A form is built once, for the
 * first target's app. The field comes before the file, unless the caller may deploy to all apps: the
 * gateway reads no source for targets that the caller may not see.
 */
export function createRollout(
  commands: Pick<Commands, 'assertMayRollOut' | 'createRollout' | 'submit'>,
  upload: UploadDeps,
): RequestHandler {
  return async (request, response) => {
    const caller = callerOf(request)
    const idempotencyKey = idempotencyKeyOf(request)
    const made = request.is('multipart/form-data') ? await fromForm() : await fromJson()
    response
      .status(202)
      .location(fill(routes.rollout, { id: made.id }))
      .json(made)

    async function fromJson(): Promise<Rollout> {
      const { source, ...more } = await jsonObject(request, response, upload.bodyMs)
      const rollout = { ...readRollout(more), source: readImageSource(source) }
      return commands.createRollout(caller, rollout, null, { requestBody: rollout, idempotencyKey })
    }

    async function fromForm(): Promise<Rollout> {
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
  }
}

/** `GET /v1/rollouts`: newest first, `limit` at a time. */
export function listRollouts({ rollouts }: Pick<Commands, 'rollouts'>): RequestHandler {
  return async (request, response) =>
    void response.json(
      await rollouts(
        callerOf(request),
        pageQuery(knownQuery(request, 'limit', 'cursor'), /^[\da-f-]{1,50}$/),
      ),
    )
}

/** `POST /v1/rollouts/{id}/cancel?by=&why=&abort=true`: 200 if ended, 202 if still stopping. */
export function cancelRollout(commands: Pick<Commands, 'cancelRollout'>): RequestHandler {
  return async (request, response) => {
    const id = String(request.params['id'])
    const rollout = await commands.cancelRollout(callerOf(request), id, readCancelRequest(request))
    response.status(rollout.endedAt === null ? 202 : 200).json(rollout)
  }
}

/** `GET /v1/rollouts/{id}`. */
export function readRolloutRecord({ rollout }: Pick<Commands, 'rollout'>): RequestHandler {
  return async (request, response) =>
    void response.json(await rollout(callerOf(request), String(request.params['id'])))
}

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
