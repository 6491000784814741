import type { RequestHandler } from 'express'
import { describeSettings, type OwnSettings } from '#api/app-settings.ts'
import type { HttpParts } from '../app.ts'
import { appParam } from '../body/upload.ts'
import { jsonBody } from '../body/small-body.ts'

export type Settings = {
  of(app: string): Promise<OwnSettings>
  change(app: string, patch: unknown): Promise<OwnSettings>
  /** The gateway's defaults for apps without their own setting. */
  gateway: OwnSettings
}
type Parts = Pick<HttpParts, 'settings' | 'bodyMs'>

/** `GET /v1/apps/{app}`: every setting with its value and its origin. */
export function readApp({ settings }: Parts): RequestHandler {
  return async (request, response) => {
    const app = appParam(request)
    response.json({ app, settings: describeSettings(await settings.of(app), settings.gateway) })
  }
}

/** `PATCH /v1/apps/{app}`: settings by name as JSON; null removes one. Answers like `GET`. */
export function changeApp({ settings, bodyMs }: Parts): RequestHandler {
  return async (request, response) => {
    const app = appParam(request)
    const own = await settings.change(app, await jsonBody(request, response, bodyMs))
    response.json({ app, settings: describeSettings(own, settings.gateway) })
  }
}
