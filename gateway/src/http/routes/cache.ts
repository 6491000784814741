import type { Express, RequestHandler } from 'express'
import { routes } from '#api/routes.ts'
import type { Commands } from '../../commands/commands.ts'
import { callerOf } from '../auth.ts'
import { appParam } from '../body/upload.ts'
import { knownQuery } from '../query.ts'

export function addCacheRoutes(
  app: Express,
  commands: Pick<Commands, 'cacheUsage' | 'removeCache'>,
): void {
  app.get(routes.cache, readCache(commands))
  app.get(routes.appCache, readAppCache(commands))
  app.delete(routes.appCache, removeAppCache(commands))
}

/** `GET /v1/cache`: the build cache by app, at most a minute old. */
function readCache({ cacheUsage }: Pick<Commands, 'cacheUsage'>): RequestHandler {
  return async (request, response) => {
    knownQuery(request)
    response.json(await cacheUsage(callerOf(request)))
  }
}

/** `GET /v1/apps/{app}/cache`: what one app has of it. Zero for an app that has nothing. */
function readAppCache({ cacheUsage }: Pick<Commands, 'cacheUsage'>): RequestHandler {
  return async (request, response) => {
    const app = appParam(request)
    knownQuery(request)
    const { apps, appBytes, measuredAt } = await cacheUsage(callerOf(request))
    const none = { app, bytes: 0, mountBytes: 0, sourceBytes: 0, sharedBytes: 0, lastUsedAt: null }
    const own = apps.find((each) => each.app === app) ?? none
    response.json({ ...own, appBytes, measuredAt })
  }
}

/** `DELETE /v1/apps/{app}/cache`: removes what one app alone has. Answers what it removed. */
function removeAppCache({ removeCache }: Pick<Commands, 'removeCache'>): RequestHandler {
  return async (request, response) => {
    const app = appParam(request)
    knownQuery(request)
    response.json(await removeCache(callerOf(request), app))
  }
}
