import { tokenIdIn } from '#api/callers/token.ts'
import type { Connection } from '../connection.ts'
import type { Values } from '../flags.ts'
import { appName, wrongUse } from '../option.ts'

/** What to ask of the gateway. `token`: an id or a name. */
export type TokenRequest =
  | { verb: 'create'; body: object }
  | { verb: 'link'; app: string; body: object }
  | { verb: 'list'; all: boolean }
  | { verb: 'revoke'; token: string }
  | { verb: 'rotate'; token: string; body: object }
export type TokenCommand = Connection & { name: 'token'; request: TokenRequest }

type TokenValues = Pick<
  Values,
  'all' | 'app' | 'deploy-link' | 'expires' | 'overlap' | 'owner' | 'scope' | 'team'
>

/** Which options each verb has. */
const optionsOf: Record<string, readonly (keyof TokenValues)[]> = {
  create: ['app', 'deploy-link', 'expires', 'owner', 'scope', 'team'],
  list: ['all'],
  revoke: [],
  rotate: ['expires', 'overlap'],
}

/** Reads `tarmac token VERB`. Null: it is used in another way. The gateway checks the values. */
export function readTokenArgs(
  [verb = '', name, ...rest]: string[],
  values: TokenValues,
): TokenRequest | null {
  const known = optionsOf[verb]
  if (!known || rest.length > 0) return null
  const all = ['all', 'app', 'deploy-link', 'expires', 'overlap', 'owner', 'scope', 'team'] as const
  const wrong = all.find((option) => isGiven(values[option]) && !known.includes(option))
  if (wrong)
    throw wrongUse(`--${wrong} is not an option of tarmac token ${verb}. See tarmac token --help.`)

  if (verb === 'list') return name === undefined ? { verb, all: values.all } : null
  if (verb === 'create')
    return values['deploy-link'] ? readLink(name, values) : readCreate(name, values)
  if (name === undefined) return null
  // The whole text of a token must not get into an address, and so into logs: its id is enough.
  const token = tokenIdIn(name) ?? name
  if (verb === 'revoke') return { verb, token }
  const { overlap, expires } = values
  return {
    verb: 'rotate',
    token,
    body: { ...(overlap && { overlap }), ...(expires && { expires }) },
  }
}

function readCreate(name: string | undefined, values: TokenValues): TokenRequest {
  if (name === undefined)
    throw wrongUse(
      'Name the token after what uses it: tarmac token create ci. See tarmac token --help.',
    )
  const { app, expires, owner, scope, team } = values
  const lists = { scopes: scope?.flatMap(items), apps: items(app), owners: items(owner) }
  const given = Object.entries(lists).filter(([, list]) => list && list.length > 0)
  const body = {
    name,
    ...Object.fromEntries(given),
    ...(team && { team }),
    ...(expires && { expires }),
  }
  return { verb: 'create', body }
}

function readLink(name: string | undefined, values: TokenValues): TokenRequest {
  const { app, expires, owner, scope, team } = values
  if (!app || name !== undefined || scope !== undefined || team !== undefined)
    throw wrongUse(
      'The usage is: tarmac token create --deploy-link --app APP [--owner NAME] [--expires 15m]. A deploy link has no name, scope or team.',
    )
  const body = { ...(owner && { owner }), ...(expires && { expires }) }
  return { verb: 'link', app: appName(app), body }
}

const isGiven = (value: unknown) => value !== undefined && value !== false
const items = (list = ''): string[] =>
  list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
