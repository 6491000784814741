import type { RequestHandler } from 'express'
import { describeSettings, type OwnSettings } from '#api/options/app-settings.ts'
import type { Commands } from '../../commands/commands.ts'
import { callerOf } from '../auth.ts'
import { jsonBody } from '../body/small-body.ts'
import { appParam } from '../body/upload.ts'

type Defaults = { appDefaults: OwnSettings; bodyMs?: number }

/** `GET /v1/apps/{app}`: every setting with its value and its origin. */
export function readApp(
  { settings }: Pick<Commands, 'settings'>,
  { appDefaults }: Defaults,
): RequestHandler {
  return async (request, response) => {
    const app = appParam(request)
    const own = await settings(callerOf(request), app)
    response.json({ app, settings: describeSettings(own, appDefaults) })
  }
}

/** `PATCH /v1/apps/{app}`: settings by name as JSON; null removes one. Answers like `GET`. */
export function changeApp(
  { changeSettings }: Pick<Commands, 'changeSettings'>,
  { appDefaults, bodyMs }: Defaults,
): RequestHandler {
  return async (request, response) => {
    const app = appParam(request)
    const patch = await jsonBody(request, response, bodyMs)
    const own = await changeSettings(callerOf(request), app, patch)
    response.json({ app, settings: describeSettings(own, appDefaults) })
  }
}
