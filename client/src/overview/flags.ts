/** The options of `tarmac apps` and `tarmac deployments`. */
export const overviewFlags = {
  state: { type: 'string' },
  branch: { type: 'string' },
  environment: { type: 'string' },
  team: { type: 'string' },
  actor: { type: 'string' },
  limit: { type: 'string' },
  cursor: { type: 'string' },
} as const

export const overviewHelp = `Options of apps and deployments:
  --state STATE         whose deployment (of an app: the newest) is in this state
  --team NAME           of the apps of this team
  --limit N             at most so many, 1 to 100; 20
  --cursor CURSOR       go on after an earlier page

Options of releases:
  --owner NAME          of the machines of one of the app's users
  --limit N             at most so many, 1 to 100; 20
  --cursor CURSOR       go on after an earlier page

Options of deployments:
  --branch NAME         of this branch
  --environment WHAT    app: of the app itself; owner: of machines of an owner; preview: of a preview
  --actor NAME          that this caller asked for, as operator or token:ci; with * at the end: all whose name begins so
  --owner NAME          of the machines of one of the app's users`
