import type { RequestHandler } from 'express'
import { describeSettings } from '#api/options/app-settings.ts'
import type { Commands } from '../../commands/commands.ts'
import type { ServerDeps } from '../deps.ts'
import { callerOf } from '../auth.ts'
import { jsonBody } from '../body/small-body.ts'
import { appParam } from '../body/upload.ts'

type Defaults = Pick<ServerDeps, 'appDefaults' | 'appWarnings' | 'bodyMs'>

/** `GET /v1/apps/{app}`: every setting with its value and its origin, and warnings about the app. */
export function readApp(
  { settings }: Pick<Commands, 'settings'>,
  { appDefaults, appWarnings = async () => [] }: Defaults,
): RequestHandler {
  return async (request, response) => {
    const app = appParam(request)
    const own = await settings(callerOf(request), app)
    const warnings = await appWarnings(app)
    response.json({ app, settings: describeSettings(own, appDefaults), warnings })
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
