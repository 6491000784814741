import { type Express, type RequestHandler, Router } from 'express'
import type { DashboardDeps } from './dashboard.ts'

/** The addresses of its pages, and `/`, which leads a browser to them. */
const isPage = /^\/(?:ui(?:\/|$)|$)/i

/**
 * Adds the dashboard, which is loaded at the first request for a page: its modules would be a seventh
 * of all that a start loads.
 */
export function openDashboard(app: Express, deps: DashboardDeps): void {
  let opening: Promise<RequestHandler> | undefined
  const open = async () => {
    const { addDashboard } = await import('./dashboard.ts')
    const router = Router()
    addDashboard(router, deps)
    return router
  }
  app.use(async (request, response, next) => {
    if (!isPage.test(request.path)) return next()
    opening ??= open()
    const dashboard = await opening
    await dashboard(request, response, next)
  })
}
