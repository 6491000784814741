import express, { type ErrorRequestHandler, type Express } from 'express'
import { Problem } from '#api/problem.ts'
import { routes } from '#api/routes.ts'
import { visibleJson } from '#api/visible-text.ts'
import { accessLog } from './access-log.ts'
import type { Authorize } from './auth.ts'
import { downloadLog } from './log/download.ts'
import type { HttpDeps } from './deps.ts'
import { sendProblem } from './problem.ts'
import { changeApp, readApp } from './routes/apps.ts'
import { cancelDeployment } from './routes/cancel-deployment.ts'
import { createDeployment, retryDeployment } from './routes/create-deployment.ts'
import { deployAndFollow } from './routes/deploy.ts'
import { readReadiness } from './routes/health.ts'
import { readProblem } from './routes/problems.ts'
import { listDeployments, readDeployment } from './routes/read-deployments.ts'
import {
  readDrift,
  diffReleases,
  listReleases,
  readRelease,
  removeApp,
  rollBack,
} from './routes/releases.ts'
import { cancelRollout, createRollout, listRollouts, readRolloutRecord } from './routes/rollouts.ts'
import { deleteSecret, listSecrets, putSecret } from './routes/secrets.ts'

/** Every route of the gateway except the events of a deployment, which `listen` adds. */
export function httpApp(parts: HttpDeps, authorize: Authorize): Express {
  const { log, stopping } = parts
  const app = express().disable('x-powered-by').disable('etag').set('query parser', 'simple')

  app.use(accessLog(log, stopping))
  app.use((_request, response, next) => {
    // Makes every answer safe to print: curl may print it in a CI job, which obeys commands in
    // output.
    response.json = (body) => response.type('json').send(visibleJson(body))
    next()
  })
  app.get(routes.health, (_request, response) => void response.json({ ok: true }))
  app.get(routes.problem, readProblem)
  app.get(routes.ready, readReadiness(parts, authorize))
  app.use((request, _response, next) => {
    authorize(request)
    next()
  })
  app.put(routes.deploy, deployAndFollow(parts))
  app.post(routes.deployments, createDeployment(parts))
  app.get(routes.deployments, listDeployments(parts))
  app.delete(routes.app, removeApp(parts))
  app.get(routes.drift, readDrift(parts))
  app.get(routes.releases, listReleases(parts))
  app.get(routes.release, readRelease(parts))
  app.get(routes.releaseDiff, diffReleases(parts))
  app.post(routes.rollback, rollBack(parts))
  app.post(routes.rollouts, createRollout(parts))
  app.get(routes.rollouts, listRollouts(parts))
  app.get(routes.rollout, readRolloutRecord(parts))
  app.post(routes.cancelRollout, cancelRollout(parts))
  app.get(routes.app, readApp(parts))
  app.patch(routes.app, changeApp(parts))
  app.get(routes.secrets, listSecrets(parts))
  app.put(routes.secret, putSecret(parts))
  app.delete(routes.secret, deleteSecret(parts))
  app.get(routes.deployment, readDeployment(parts))
  app.get(routes.log, downloadLog(parts))
  app.post(routes.retry, retryDeployment(parts))
  app.post(routes.cancel, cancelDeployment(parts))

  for (const path of Object.values(routes))
    app.all(path, ({ method }) => {
      throw new Problem(
        'method-not-allowed',
        `${method} is not for this address; see docs/http.md.`,
      )
    })
  app.use(({ path }) => {
    throw new Problem(
      'route-not-found',
      `There is nothing at ${path.slice(0, 200)}; see docs/http.md.`,
    )
  })
  const onError: ErrorRequestHandler = (error, request, response, _next) =>
    sendProblem(request, response, error, log)
  app.use(onError)
  return app
}
