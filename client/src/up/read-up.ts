import { Problem } from '#api/problem.ts'
import { appName, wrongUse as wrong } from '../option.ts'
import { readSize, type Size } from './builder/sizes.ts'

/** Where Fly's token comes from. Never from the command line in our docs: process lists show it. */
export type TokenSource = { stdin: true } | { value: string }

type Which = { org: string | null; app: string | null; network: string | null; token: TokenSource }
export type UpCommand = Which & {
  name: 'up'
  region: string | null
  size: Size | null
  volumeGb: number | null
  image: string | null
  env: Record<string, string>
  alwaysOn: boolean | null
  replace: boolean
}
export type UpgradeCommand = Which & { name: 'upgrade'; image: string | null }
export type DownCommand = Which & { name: 'down'; deleteVolume: boolean }

type Values = {
  org?: string | undefined
  app?: string | undefined
  network?: string | undefined
  token?: string | undefined
  region?: string | undefined
  size?: string | undefined
  volume?: string | undefined
  image?: string | undefined
  env?: string[] | undefined
  'always-on': boolean
  replace: boolean
  'delete-volume': boolean
}
type Env = Record<string, string | undefined>

/** Throws a Problem with exit code 2 for a wrong option. */
export function readUp(
  name: 'up' | 'down' | 'upgrade',
  values: Values,
  env: Env,
): UpCommand | DownCommand | UpgradeCommand {
  const { org = null, network = null, region = null, image = null } = values
  const app = values.app === undefined ? null : appName(values.app)
  if (network !== null && !/^[a-z][a-z0-9-]{0,62}$/i.test(network))
    throw wrong('--network is given a letter, then letters, digits and dashes.')
  const which = { org, app, network, token: tokenSource(name, values.token, env) }
  if (name === 'down') return { name, ...which, deleteVolume: values['delete-volume'] }
  if (name === 'upgrade') return { name, ...which, image }

  return {
    name,
    ...which,
    region,
    image,
    size: values.size === undefined ? null : readSize(values.size),
    volumeGb: values.volume === undefined ? null : readGb(values.volume),
    env: Object.fromEntries((values.env ?? []).map(pairOf)),
    alwaysOn: values['always-on'] || null,
    replace: values.replace,
  }
}

/** flyctl reads the same variables, in this order. */
function tokenSource(name: string, given: string | undefined, env: Env): TokenSource {
  if (given === '-') return { stdin: true }
  const value = (given ?? env['FLY_ACCESS_TOKEN'] ?? env['FLY_API_TOKEN'] ?? '').trim()
  if (value) return { value }
  throw new Problem(
    'unauthorized',
    `A token of Fly is missing. Make one for your organisation, and run the command again:\n  export FLY_API_TOKEN="$(fly tokens create org ORG)"\nOr give it on stdin: fly tokens create org ORG | tarmac ${name} --token -`,
  )
}

function readGb(text: string): number {
  const gb = Number(text)
  if (Number.isInteger(gb) && gb >= 1 && gb <= 500) return gb
  throw wrong(`--volume is given in GB, a whole number from 1 to 500, not as ${text}.`)
}

function pairOf(pair: string): [string, string] {
  const at = pair.indexOf('=')
  const name = pair.slice(0, Math.max(at, 0))
  if (!/^[A-Z_][A-Z0-9_]*$/i.test(name))
    throw wrong(`--env is given as NAME=VALUE, not as ${pair}.`)
  if (name.startsWith('FLY_'))
    throw wrong(`--env ${name}: Fly sets the names that begin with FLY_.`)
  return [name, pair.slice(at + 1)]
}
