import express, { type ErrorRequestHandler, type Express } from 'express'
import { Problem } from '#api/problem.ts'
import { routes } from '#api/routes.ts'
import { visibleJson } from '#api/text/visible-text.ts'
import type { Authorize, Prove } from './auth.ts'
import { openDashboard } from './dashboard/open-dashboard.ts'
import { downloadLog } from './log/download.ts'
import type { GuardedCommands } from '../commands/access/guarded.ts'
import type { Commands } from '../commands/commands.ts'
import type { ServerDeps } from './deps.ts'
import { sendProblem } from './problem.ts'
import { changeApp, readApp } from './routes/apps.ts'
import { addCacheRoutes } from './routes/cache.ts'
import { addTokenRoutes } from './routes/callers/tokens.ts'
import { cancelDeployment } from './routes/cancel-deployment.ts'
import { createDeployment, retryDeployment } from './routes/create-deployment.ts'
import { addRuleRoutes } from './routes/callers/rules.ts'
import { deployAndFollow } from './routes/deploy.ts'
import { addDriftRoutes } from './routes/drift/drift.ts'
import { examineGateway } from './routes/doctor.ts'
import { receiveBackup, sendBackup } from './routes/backup.ts'
import { endDrain, readDrain, startDrain } from './routes/drain.ts'
import { readReadiness } from './routes/health.ts'
import { readProblem } from './routes/problems.ts'
import { addMachineRoutes } from './routes/machines/machines.ts'
import { addOwnerRoutes } from './routes/owners/owners.ts'
import { addOverviewRoutes } from './routes/overview/overview.ts'
import { addQueueRoutes } from './routes/overview/queue.ts'
import { addPoolRoutes } from './routes/previews/pools.ts'
import { addTemplateRoutes } from './routes/previews/templates.ts'
import { addPreviewRoutes } from './routes/previews/previews.ts'
import { listDeployments, readDeployment, readLayersOf } from './routes/read-deployments.ts'
import { diffReleases, listReleases, readRelease, removeApp, rollBack } from './routes/releases.ts'
import { createRollout } from './routes/rollouts/create-rollout.ts'
import { cancelRollout, listRollouts, readRolloutRecord } from './routes/rollouts/rollouts.ts'
import { deleteSecret, listSecrets, putSecret } from './routes/secrets.ts'
import { readLimits } from './routes/callers/limits.ts'
import { addRegistryRoutes } from './routes/registries/registries.ts'
import { addTeamRoutes } from './routes/callers/teams.ts'
import { listAudit } from './routes/callers/audit.ts'
import { addRouterRoutes } from './routes/router/router.ts'
import { addSourceRoutes } from './routes/source.ts'
import { addTreeRoutes } from './routes/trees/trees.ts'
import { addRuntimeRoutes } from './routes/runtime/add-runtime-routes.ts'
import { speakTus } from './routes/uploads/tus.ts'
import { addUploadRoutes } from './routes/uploads/uploads.ts'
import { readWhoami } from './routes/callers/whoami.ts'
import { readDiskHistory, readRemovals, readStatus } from './routes/status.ts'

/** Every route of the gateway except the events of a deployment, which `listen` adds. */
export function httpApp(
  commands: GuardedCommands,
  server: ServerDeps,
  { authorize, prove }: { authorize: Authorize; prove: Prove },
): Express {
  const app = express().disable('x-powered-by').disable('etag').set('query parser', 'simple')

  app.use((_request, response, next) => {
    // Makes every answer safe to print: curl may print it in a CI job, which obeys commands in
    // output.
    response.json = (body) => response.type('json').send(visibleJson(body))
    next()
  })
  app.get(routes.health, (_request, response) => void response.json({ ok: true }))
  app.get(routes.problem, readProblem)
  app.get(routes.ready, readReadiness(server, authorize))
  app.use(routes.uploads, speakTus)
  openDashboard(app, { commands, server, authorize, prove })
  app.use(async (request, _response, next) => {
    await authorize(request)
    next()
  })
  deploymentRoutes(app, commands, server)
  appRoutes(app, commands, server)
  callerRoutes(app, commands, server)
  addTokenRoutes(app, commands, server)
  addRuleRoutes(app, commands, server)
  operatorRoutes(app, commands, server)
  refuseOthers(app)
  const onError: ErrorRequestHandler = (error, request, response, _next) =>
    sendProblem(request, response, error, server.log)
  app.use(onError)
  return app
}

/** Deployments and rollouts. */
function deploymentRoutes(app: Express, commands: Commands, server: ServerDeps): void {
  app.put(routes.deploy, deployAndFollow(commands, server))
  app.post(routes.deployments, createDeployment(commands, server))
  app.get(routes.deployments, listDeployments(commands))
  addUploadRoutes(app, commands, server)
  addTreeRoutes(app, commands, server)
  addOverviewRoutes(app, commands)
  addQueueRoutes(app, commands)
  addPreviewRoutes(app, commands, server)
  addTemplateRoutes(app, commands, server)
  addPoolRoutes(app, commands, server)
  app.post(routes.rollback, rollBack(commands))
  app.post(routes.rollouts, createRollout(commands, server))
  app.get(routes.rollouts, listRollouts(commands))
  app.get(routes.rollout, readRolloutRecord(commands))
  app.post(routes.cancelRollout, cancelRollout(commands))
  app.get(routes.deployment, readDeployment(commands))
  app.get(routes.imageLayers, readLayersOf(commands))
  addSourceRoutes(app, commands)
  app.get(routes.log, downloadLog(commands, server))
  app.post(routes.retry, retryDeployment(commands))
  app.post(routes.cancel, cancelDeployment(commands))
}

/** Releases, machines, settings, secrets and cache of an app. */
function appRoutes(app: Express, commands: Commands, server: ServerDeps): void {
  app.delete(routes.app, removeApp(commands))
  addCacheRoutes(app, commands)
  addMachineRoutes(app, commands)
  addOwnerRoutes(app, commands)
  addDriftRoutes(app, commands)
  addRouterRoutes(app, commands, server)
  app.get(routes.releases, listReleases(commands))
  app.get(routes.release, readRelease(commands))
  app.get(routes.releaseDiff, diffReleases(commands))
  app.get(routes.app, readApp(commands, server))
  app.patch(routes.app, changeApp(commands, server))
  app.get(routes.secrets, listSecrets(commands))
  app.put(routes.secret, putSecret(commands, server))
  app.delete(routes.secret, deleteSecret(commands))
  addRuntimeRoutes(app, commands, server)
}

/** Who may use what. */
function callerRoutes(app: Express, commands: Commands, server: ServerDeps): void {
  addTeamRoutes(app, commands, server)
  addRegistryRoutes(app, commands, server)
  app.get(routes.limits, readLimits(commands))
  app.get(routes.whoami, readWhoami(commands))
}

/** What an operator asks about the gateway as a whole. */
function operatorRoutes(app: Express, commands: Commands, server: ServerDeps): void {
  app.get(routes.status, readStatus(commands))
  app.get(routes.diskHistory, readDiskHistory(commands))
  app.get(routes.removals, readRemovals(commands))
  app.get(routes.audit, listAudit(commands))
  app.post(routes.doctor, examineGateway(commands))
  app.post(routes.drain, startDrain(commands))
  app.get(routes.drain, readDrain(commands))
  app.delete(routes.drain, endDrain(commands))
  app.get(routes.backup, sendBackup(commands))
  app.put(routes.backup, receiveBackup(commands, server))
}

/** Answers calls that are none. Mount it last. */
function refuseOthers(app: Express): void {
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
}
