import { parseArgs } from 'node:util'
import { AppName, appNameRule } from '#api/app.ts'
import { errorMessage } from '#api/error-code.ts'
import { type DeploymentOptions, readOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { cleanPath, isOutside } from '#api/text/clean-path.ts'
import { readSecrets } from './deploy/read-secrets.ts'
import { upkeepFlags } from './upkeep/flags.ts'
import { readUpkeep, type UpkeepCommand } from './upkeep/read-upkeep.ts'
import { upFlags } from './up/flags.ts'
import { type DownCommand, readUp, type UpCommand } from './up/read-up.ts'
import { knownGateway } from './up/known-gateway.ts'

type Connection = { gateway: URL; token: string }
export type DeployCommand = Connection & {
  name: 'deploy'
  /** Null: the config file of the folder names it. */
  app: string | null
  folder: string
  /** Paths in the folder that are sent whatever ignore files say. */
  include: string[]
  noIgnore: boolean
  options: DeploymentOptions
  secrets: Map<string, string>
  detach: boolean
}
export type FollowCommand = Connection & { name: 'follow'; id: string; show: Show }
/** Filter for a log: events of these types, or of steps whose name contains this text. */
export type Show = { only?: string | undefined; step?: string | undefined }
export type RetryCommand = Connection & { name: 'retry'; id: string; reuseImage: boolean }
export type CancelCommand = Connection & {
  name: 'cancel'
  id: string
  abort: boolean
  why: string | null
}
export type RollbackCommand = Connection & {
  name: 'rollback'
  app: string
  query: URLSearchParams
}
export type Command =
  | DeployCommand
  | FollowCommand
  | CancelCommand
  | RetryCommand
  | RollbackCommand
  | UpkeepCommand
  | UpCommand
  | DownCommand
  | { name: 'help' }
  | { name: 'version' }

/** Every option. `help` explains each of them. */
export const flags = {
  env: { type: 'string', multiple: true },
  build: { type: 'string', multiple: true },
  secret: { type: 'string', multiple: true },
  include: { type: 'string', multiple: true },
  'no-ignore': { type: 'boolean', default: false },
  'no-deploy': { type: 'boolean', default: false },
  rebuild: { type: 'boolean', default: false },
  detach: { type: 'boolean', default: false },
  abort: { type: 'boolean', default: false },
  'reuse-image': { type: 'boolean', default: false },
  why: { type: 'string' },
  release: { type: 'string' },
  only: { type: 'string' },
  step: { type: 'string' },
  region: { type: 'string' },
  count: { type: 'string' },
  config: { type: 'string', short: 'c' },
  dockerfile: { type: 'string' },
  plan: { type: 'string' },
  target: { type: 'string' },
  platform: { type: 'string' },
  tag: { type: 'string', multiple: true },
  strategy: { type: 'string' },
  ha: { type: 'boolean', default: false },
  'new-volumes': { type: 'boolean', default: false },
  network: { type: 'string' },
  'force-over': { type: 'string' },
  ...upkeepFlags,
  ...upFlags,
  owner: { type: 'string' },
  lane: { type: 'string' },
  gateway: { type: 'string' },
  token: { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
  version: { type: 'boolean', default: false },
} as const

/** Parses the command line. Throws a Problem with exit code 2 when it cannot. */
export function readCommandLine(argv: string[], env: NodeJS.ProcessEnv): Command {
  const { values, positionals } = parse(argv)
  if (values.version) return { name: 'version' }
  const [name, ...args] = positionals
  if (values.help || name === undefined || name === 'help') return { name: 'help' }

  if ((name === 'up' || name === 'down') && args.length === 0) return readUp(name, values, env)

  const connection = readConnection(values, env)
  const { only, step } = values
  if (only && step) throw wrongUse('Give --only or --step, not both.')
  if (name === 'deploy' && args.length <= 2) return readDeploy(values, args, connection, env)
  if (name === 'follow' && args.length === 1)
    return { name, id: args[0]!, show: { only, step }, ...connection }
  if (name === 'retry' && args.length === 1)
    return { name, id: args[0]!, reuseImage: values['reuse-image'], ...connection }
  if (name === 'cancel' && args.length === 1)
    return { name, id: args[0]!, abort: values.abort, why: values.why ?? null, ...connection }
  if (name === 'rollback' && args.length === 1) {
    const { release = '', owner = '' } = values
    asOptions(() => readOptions([['owner', owner]]))
    return {
      name,
      app: appName(args[0]!),
      query: new URLSearchParams({ ...(release && { release }), owner }),
      ...connection,
    }
  }
  const upkeep = readUpkeep(name, args, values, connection)
  if (upkeep) return upkeep
  if (Object.hasOwn(usages, name))
    throw wrongUse(`The usage is: tarmac ${name} ${usages[name]}. See tarmac --help.`)
  throw wrongUse(`There is no such command: tarmac ${positionals.join(' ')}. See tarmac --help.`)
}

const usages: Record<string, string> = {
  deploy: '[APP] [FOLDER]',
  follow: 'DEPLOYMENT',
  retry: 'DEPLOYMENT',
  cancel: 'DEPLOYMENT',
  rollback: 'APP',
  backup: '[FILE]',
  restore: 'FILE',
  up: '[OPTIONS]',
  down: '[OPTIONS]',
}

type Values = ReturnType<typeof parse>['values']

function readConnection(values: Values, env: NodeJS.ProcessEnv): Connection {
  const known = knownGateway(values, env)
  const address = known.gateway
  if (!address)
    throw wrongUse(
      'The address of the gateway is missing. Set TARMAC_GATEWAY, or give --gateway URL. To make a gateway: tarmac up.',
    )
  const token = known.token.trim()
  if (!/^[\x21-\x7e]*$/.test(token))
    throw new Problem(
      'unauthorized',
      `${values.token === undefined ? 'TARMAC_TOKEN' : '--token'} is no token: it has a space, a line feed or another character that no token has.`,
    )
  return { gateway: readUrl(address), token }
}

function readDeploy(
  values: Values,
  args: string[],
  connection: Connection,
  env: NodeJS.ProcessEnv,
): DeployCommand {
  const { region, count, config, dockerfile, plan, target, platform } = values
  const { strategy, owner, lane, network } = values
  const pairs: [string, string | undefined][] = [
    ['deploy', String(!values['no-deploy'])],
    ['rebuild', String(values.rebuild)],
    ['ha', String(values.ha)],
    ['new-volumes', String(values['new-volumes'])],
    ['force-over', values['force-over']],
    ...Object.entries({ region, count, config, dockerfile, plan, target }),
    ...Object.entries({ platform, strategy, owner, lane, network }),
    ...(values.tag ?? []).map((tag): [string, string] => ['tag', tag]),
    ...(values.env ?? []).map((pair) => assignment('env', pair)),
    ...(values.build ?? []).map((pair) => assignment('build', pair)),
  ]
  const given = pairs.filter((pair): pair is [string, string] => pair[1] !== undefined)
  return {
    name: 'deploy',
    ...appAndFolder(args),
    include: (values.include ?? []).map(pathInside),
    noIgnore: values['no-ignore'],
    options: asOptions(() => readOptions(given).options),
    secrets: readSecrets(values.secret ?? [], env),
    detach: values.detach,
    ...connection,
  }
}

/** One word with a dot or a slash, as in `tarmac deploy ./web`, can only be a folder. */
function appAndFolder([first, folder]: string[]): { app: string | null; folder: string } {
  if (first === undefined) return { app: null, folder: '.' }
  if (folder === undefined && /[./]/.test(first)) return { app: null, folder: first }
  return { app: appName(first), folder: folder ?? '.' }
}

/** A path inside the folder, as the entries of a source have it. */
function pathInside(path: string): string {
  const cleaned = cleanPath(path)
  if (cleaned !== '.' && !isOutside(cleaned)) return cleaned
  throw wrongUse(`--include is given a path inside the folder, like dist, not ${path}.`)
}

/** Reads options. A Problem names an option as the command line does. */
function asOptions<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    const option = error instanceof Problem ? error.facts['option'] : undefined
    if (typeof option !== 'string' || !(error instanceof Problem)) throw error
    const [, map, name] = /^(env|build)\.(.+)$/s.exec(option) ?? []
    const flag = map === undefined ? `--${option}` : `--${map} ${name}`
    const detail = error.message.replace(`The option ${option} `, `${flag} `)
    throw new Problem(error.code, detail, { cause: error, facts: error.facts })
  }
}

function parse(argv: string[]) {
  try {
    return parseArgs({ args: argv, options: flags, allowPositionals: true })
  } catch (error) {
    throw wrongUse(`${errorMessage(error).split('. ')[0]}. See tarmac --help.`)
  }
}

/** `--env A=b` → `['env.A', 'b']`. */
function assignment(map: string, pair: string): [string, string] {
  const at = pair.indexOf('=')
  if (at < 1) throw wrongUse(`--${map} is given as NAME=VALUE, not as ${pair}.`)
  return [`${map}.${pair.slice(0, at)}`, pair.slice(at + 1)]
}

function appName(app: string): string {
  if (AppName.safeParse(app).success) return app
  throw new Problem('app-name-invalid', appNameRule)
}

function readUrl(address: string): URL {
  if (URL.canParse(address) && /^https?:/.test(address)) return new URL(address)
  throw wrongUse(`The gateway's address is like http://tarmac:8080, not ${address}.`)
}

const wrongUse = (detail: string) => new Problem('option-invalid', detail)
