import type { Readable } from 'node:stream'
import express, { type ErrorRequestHandler, type Express } from 'express'
import type { CancelRequest, Deployment, SourceFacts } from '#api/deployment.ts'
import type { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { routes } from '#api/routes.ts'
import { visibleJson } from '#api/visible-text.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { Logger } from '../log.ts'
import { accessLog } from './access-log.ts'
import { deleteSecret, type SecretCommands, listSecrets, putSecret } from './routes/secrets.ts'
import { changeApp, readApp, type Settings } from './routes/apps.ts'
import type { Authorize } from './auth.ts'
import { cancelDeployment } from './routes/cancel-deployment.ts'
import { createDeployment, retryDeployment } from './routes/create-deployment.ts'
import { deployAndFollow } from './routes/deploy.ts'
import { downloadLog } from './log/download.ts'
import { sendProblem } from './problem.ts'
import { listDeployments, readDeployment } from './routes/read-deployments.ts'
import { readReadiness } from './routes/health.ts'
import {
  type AppParts,
  auditApp,
  diffReleases,
  listReleases,
  readRelease,
  removeApp,
  rollBack,
} from './routes/releases.ts'
import {
  cancelRollout,
  createRollout,
  listRollouts,
  readRolloutRecord,
  type RolloutParts,
} from './routes/rollouts.ts'

export type HttpParts = AppParts &
  RolloutParts & {
    store: Pick<
      DeploymentStore,
      'find' | 'list' | 'eventsAfter' | 'changed' | 'releases' | 'refuseBusyLane'
    >
    /** The intake: resolves when the body is a whole, checked source on disk. Reads no further after it has refused. */
    receive(
      body: Readable,
      more: { contentDigest?: string; signal: AbortSignal },
    ): Promise<SourceFacts>
    /** Makes the record; from then on the deployment goes its way, whoever listens. */
    submit(asked: {
      app: string
      options: DeploymentOptions
      source: SourceFacts
      secrets: ReadonlyMap<string, Uint8Array>
      idempotencyKey: string | null
    }): Promise<Deployment>
    secrets: SecretCommands
    settings: Settings
    /** A new deployment from what an earlier one was made of. */
    retry(id: string, more: { again: boolean; idempotencyKey: string | null }): Promise<Deployment>
    /** Stops a deployment; what it answers may still be on its way to `cancelled`. */
    cancel(id: string, request: Omit<CancelRequest, 'at'>): Promise<Deployment>
    /**
     * Throws the Problem that says why no source is taken now. Else room is kept for what is announced and has not
     * arrived, until what is returned is disposed.
     */
    assertAccepting(upload: {
      announcedBytes: number
      arrivedBytes: () => number
    }): Disposable | void
    readiness(): Promise<{ ready: boolean; parts: Record<string, { ok: boolean; detail: string }> }>
    /** None: everything is allowed. */
    tokens: readonly string[]
    log: Logger
    /** Fires when the gateway begins to stop: uploads are refused, followers are sent away to come back. */
    stopping: AbortSignal
    maxUploadBytes: number
    /** A line without news for this long gets a sign of life; a reader that took nothing meanwhile is sent away. 15 s. */
    heartbeatMs?: number
    /** Time for a small body, and for all of a form outside its file. 10 s. */
    bodyMs?: number
  }

/** Every address of the gateway but the events of a deployment, which `listen` adds. */
export function httpApp(parts: HttpParts, authorize: Authorize): Express {
  const { log, stopping } = parts
  const app = express().disable('x-powered-by').disable('etag').set('query parser', 'simple')

  app.use(accessLog(log, stopping))
  app.use((_request, response, next) => {
    // Also what curl prints in a CI job.
    response.json = (body) => response.type('json').send(visibleJson(body))
    next()
  })
  app.get(routes.health, (_request, response) => void response.json({ ok: true }))
  app.get(routes.ready, readReadiness(parts, authorize))
  app.use((request, _response, next) => {
    authorize(request)
    next()
  })
  app.put(routes.deploy, deployAndFollow(parts))
  app.post(routes.deployments, createDeployment(parts))
  app.get(routes.deployments, listDeployments(parts))
  app.delete(routes.app, removeApp(parts))
  app.get(routes.audit, auditApp(parts))
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
