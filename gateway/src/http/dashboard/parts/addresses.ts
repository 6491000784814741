import { fill } from '#api/routes.ts'

/** All addresses of the dashboard. */
export const addresses = {
  home: '/ui',
  app: '/ui/apps/:app',
  settings: '/ui/apps/:app/settings',
  setVariable: '/ui/apps/:app/variables/set',
  unsetVariable: '/ui/apps/:app/variables/unset',
  setSecret: '/ui/apps/:app/secrets/set',
  unsetSecret: '/ui/apps/:app/secrets/unset',
  deploySecrets: '/ui/apps/:app/secrets/deploy',
  owners: '/ui/apps/:app/owners',
  powerOwner: '/ui/apps/:app/owners/:owner/power',
  destroyOwner: '/ui/apps/:app/owners/:owner/destroy',
  moveOwner: '/ui/apps/:app/owners/:owner/move',
  routers: '/ui/routers',
  router: '/ui/apps/:app/router',
  deployRouter: '/ui/apps/:app/router/deploy',
  removeRouter: '/ui/apps/:app/router/remove',
  releaseDiff: '/ui/apps/:app/releases/:from/diff/:to',
  rollback: '/ui/apps/:app/releases/:release/rollback',
  machinePower: '/ui/apps/:app/machines/:machine/power',
  dropCache: '/ui/apps/:app/cache/drop',
  deployments: '/ui/deployments',
  deployment: '/ui/deployments/:id',
  cancel: '/ui/deployments/:id/cancel',
  retry: '/ui/deployments/:id/retry',
  deployImage: '/ui/apps/:app/deploy-image',
  deployElsewhere: '/ui/deploy',
  queue: '/ui/queue',
  startDrain: '/ui/queue/drain',
  endDrain: '/ui/queue/drain/end',
  previews: '/ui/previews',
  preview: '/ui/previews/:id',
  extendPreview: '/ui/previews/:id/extend',
  destroyPreview: '/ui/previews/:id/destroy',
  powerPreview: '/ui/previews/:id/power',
  rollouts: '/ui/rollouts',
  rollout: '/ui/rollouts/:id',
  cancelRollout: '/ui/rollouts/:id/cancel',
  callers: '/ui/callers',
  createToken: '/ui/callers/tokens',
  token: '/ui/callers/tokens/:token',
  revokeToken: '/ui/callers/tokens/:token/revoke',
  rotateToken: '/ui/callers/tokens/:token/rotate',
  removeRule: '/ui/callers/rules/:rule/remove',
  createTeam: '/ui/callers/teams',
  team: '/ui/callers/teams/:team',
  changeTeam: '/ui/callers/teams/:team/change',
  changeQuotas: '/ui/callers/teams/:team/quotas',
  removeTeam: '/ui/callers/teams/:team/remove',
  audit: '/ui/audit',
  builder: '/ui/builder',
  runDoctor: '/ui/builder/doctor',
  removeCache: '/ui/builder/cache/:app/remove',
  drift: '/ui/drift',
  acceptDrift: '/ui/drift/:app/accept',
  build: '/ui/deployments/:id/build',
  compare: '/ui/compare',
  login: '/ui/login',
  logout: '/ui/logout',
  logoutEverywhere: '/ui/logout-everywhere',
  asset: '/ui/assets/:name',
} as const

/** `addressOf('app', { app })`, with a query where there is one. Null leaves an option out. */
export function addressOf(
  page: keyof typeof addresses,
  values: Record<string, string | number> = {},
  query: Record<string, string | number | null> = {},
): string {
  const texts = Object.entries(values).map(([name, value]) => [name, String(value)])
  const options = Object.entries(query).flatMap(([name, value]) =>
    value === null ? [] : [[name, String(value)]],
  )
  const path = fill(addresses[page], Object.fromEntries(texts))
  return options.length === 0 ? path : `${path}?${new URLSearchParams(options).toString()}`
}
