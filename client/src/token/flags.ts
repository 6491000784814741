/** The options of `tarmac token` that no other command has. */
export const tokenFlags = {
  scope: { type: 'string', multiple: true },
  team: { type: 'string' },
  expires: { type: 'string' },
  overlap: { type: 'string' },
  'deploy-link': { type: 'boolean', default: false },
  all: { type: 'boolean', default: false },
} as const

export const tokenHelp = `Options of token:
  --scope LIST          with create: what it may do: read, deploy (the default), secrets, preview, exec, admin
  --app LIST            with create: only these apps, by name, or by a beginning of names, as web,pr-*
  --owner LIST          with create: only these owners in the apps
  --team NAME           with create: only the apps of this team
  --expires WHEN        with create and rotate: as 90d (the default of create), 12h, 2027-01-31 or never
  --deploy-link         with create: for one deployment of --app, within --expires, 15m by default, 1h at most
  --overlap SPAN        with rotate: how long the old secret works too, as 10m; default 0s, at most 7d
  --all                 with list: also tokens that have ended

A new token is the only text on stdout, and is shown once. Nobody can make a token that may do more than the own one.`
