import type { RequestHandler } from 'express'
import { describeSettings } from '#api/app-settings.ts'
import { jsonBody } from '../body/small-body.ts'
import { appParam } from '../body/upload.ts'
import type { HttpDeps } from '../deps.ts'
type SettingsDeps = Pick<HttpDeps, 'settings' | 'bodyMs'>

/** `GET /v1/apps/{app}`: every setting with its value and its origin. */
export function readApp({ settings }: SettingsDeps): RequestHandler {
  return async (request, response) => {
    const app = appParam(request)
    response.json({ app, settings: describeSettings(await settings.of(app), settings.gateway) })
  }
}

/** `PATCH /v1/apps/{app}`: settings by name as JSON; null removes one. Answers like `GET`. */
export function changeApp({ settings, bodyMs }: SettingsDeps): RequestHandler {
  return async (request, response) => {
    const app = appParam(request)
    const own = await settings.change(app, await jsonBody(request, response, bodyMs))
    response.json({ app, settings: describeSettings(own, settings.gateway) })
  }
}
