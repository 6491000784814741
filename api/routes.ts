/** All routes of the gateway: the server mounts the patterns, the client fills them. */
export const routes = {
  deploy: '/deploy/:app',
  app: '/v1/apps/:app',
  cache: '/v1/cache',
  appCache: '/v1/apps/:app/cache',
  deployments: '/v1/apps/:app/deployments',
  drift: '/v1/apps/:app/drift',
  machines: '/v1/apps/:app/machines',
  machineAction: '/v1/apps/:app/machines/:id/:action',
  releases: '/v1/apps/:app/releases',
  release: '/v1/apps/:app/releases/:number',
  releaseDiff: '/v1/apps/:app/releases/:from/diff/:to',
  rollback: '/v1/apps/:app/rollback',
  rollouts: '/v1/rollouts',
  rollout: '/v1/rollouts/:id',
  cancelRollout: '/v1/rollouts/:id/cancel',
  secrets: '/v1/apps/:app/secrets',
  secret: '/v1/apps/:app/secrets/:name',
  apps: '/v1/apps',
  allDeployments: '/v1/deployments',
  deployment: '/v1/deployments/:id',
  events: '/v1/deployments/:id/events',
  log: '/v1/deployments/:id/log',
  cancel: '/v1/deployments/:id/cancel',
  retry: '/v1/deployments/:id/retry',
  drain: '/v1/drain',
  backup: '/v1/backup',
  status: '/v1/status',
  doctor: '/v1/doctor',
  audit: '/v1/audit',
  problem: '/problems/:code',
  health: '/healthz',
  ready: '/readyz',
} as const

/** `fill(routes.deployment, { id })` → `/v1/deployments/…`. */
export function fill(pattern: string, values: Record<string, string>): string {
  return pattern.replaceAll(/:(\w+)/g, (_, name: string) => encodeURIComponent(values[name] ?? ''))
}
