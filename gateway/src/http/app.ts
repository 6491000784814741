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
    /** The intake: resolves when the checked source is on disk. Stops reading after a refusal. */
    receive(
      body: Readable,
      more: { contentDigest?: string; signal: AbortSignal },
    ): Promise<SourceFacts>
    /** Creates the record. From then on the deployment runs, whether or not the caller stays. */
    submit(asked: {
      app: string
      options: DeploymentOptions
      source: SourceFacts
      secrets: ReadonlyMap<string, Uint8Array>
      idempotencyKey: string | null
    }): Promise<Deployment>
    secrets: SecretCommands
    settings: Settings
    /** Creates a deployment from an earlier one's source or image. */
    retry(id: string, more: { again: boolean; idempotencyKey: string | null }): Promise<Deployment>
    /** Cancels a deployment. The returned record may not be `cancelled` yet. */
    cancel(id: string, request: Omit<CancelRequest, 'at'>): Promise<Deployment>
    /**
     * Throws a Problem if the gateway accepts no source now. Otherwise reserves disk space for the
     * announced bytes that have not arrived, until the caller disposes the result.
     */
    assertAccepting(upload: {
      announcedBytes: number
      arrivedBytes: () => number
    }): Disposable | void
    readiness(): Promise<{ ready: boolean; parts: Record<string, { ok: boolean; detail: string }> }>
    /** If empty, every caller is allowed. */
    tokens: readonly string[]
    log: Logger
    /** Fires when the gateway begins to stop: it refuses uploads and disconnects log readers. */
    stopping: AbortSignal
    maxUploadBytes: number
    /** Idle time before a log reader gets a heartbeat; a stuck one is disconnected. 15 s. */
    heartbeatMs?: number
    /** Time for a small body, and for the part of a form outside its file. 10 s. */
    bodyMs?: number
  }

/** Every route of the gateway except the events of a deployment, which `listen` adds. */
export function httpApp(parts: HttpParts, authorize: Authorize): Express {
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
