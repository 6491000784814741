import { fill } from '#api/routes.ts'

/** All addresses of the dashboard. */
export const addresses = {
  home: '/ui',
  app: '/ui/apps/:app',
  releaseDiff: '/ui/apps/:app/releases/:from/diff/:to',
  deployment: '/ui/deployments/:id',
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
