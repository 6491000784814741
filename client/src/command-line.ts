import { readOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { nearestOf } from '#api/text/nearest.ts'
import { type AuditRequest, readAudit } from './audit/audit.ts'
import { type CacheRequest, readCacheArgs } from './cache/cache.ts'
import { type DeployCommand, readDeploy } from './deploy/read-deploy.ts'
import { type BuilderCommand, readBuilderCommand } from './builder/operate.ts'
import { readSourceArgs, type SourceRequest } from './files/source.ts'
import { type DriftRequest, readDriftArgs } from './drift/drift.ts'
import type { Connection } from './connection.ts'
import { parse, type Values } from './flags.ts'
import { audOf } from './identity/job-identity.ts'
import { type MachinesRequest, readMachinesArgs } from './machines/machines.ts'
import { type OverviewRequest, readOverviewArgs } from './overview/overview.ts'
import { type ImageCommand, readImage } from './image/read-image.ts'
import { appName, asOptions, gatewayUrl, wrongUse } from './option.ts'
import { type PoolRequest, poolUsage, readPoolArgs } from './preview/pool.ts'
import { type OwnerRequest, ownerUsage, readOwnerArgs } from './owners/read-owners.ts'
import { type PreviewRequest, readPreviewArgs } from './preview/read-preview.ts'
import { queueUsage, type QueueRequest, readQueueArgs } from './queue/queue.ts'
import {
  readRegistries,
  type RegistriesCommand,
  registriesUsage,
} from './registries/read-registries.ts'
import { readRouterArgs, type RouterRequest } from './router/read-router.ts'
import { readRuleArgs, type RuleRequest, ruleUsage } from './rule/read-rule.ts'
import { readTeamArgs, type TeamRequest, teamUsage } from './teams/read-teams.ts'
import { readTemplateArgs, type TemplateRequest, templateUsage } from './template/template.ts'
import { readUpkeep, type UpkeepCommand } from './upkeep/read-upkeep.ts'
import { readTokenArgs, type TokenCommand } from './token/read-token.ts'
import { readRuntime, type RuntimeCommand } from './runtime/read-runtime.ts'
import { type DownCommand, readUp, type UpCommand, type UpgradeCommand } from './up/read-up.ts'
import { knownGateway } from './up/known-gateway.ts'

export type FollowCommand = Connection & { name: 'follow'; id: string; show: Show }
/** Filter for a log: events of these types, or of steps whose name contains this text. */
export type Show = { only?: string | undefined; step?: string | undefined }
export type RetryCommand = Connection & { name: 'retry'; id: string; how: URLSearchParams }
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
  | BuilderCommand
  | (Connection & AuditRequest & { name: 'audit' })
  | (Connection & CacheRequest & { name: 'cache' })
  | (Connection & DriftRequest & { name: 'drift' })
  | (Connection & SourceRequest & { name: 'source' })
  | (Connection & { name: 'whoami' })
  | (Connection & MachinesRequest & { name: 'machines' })
  | (Connection & RouterRequest & { name: 'router' })
  | (Connection & { name: 'template'; request: TemplateRequest })
  | (Connection & OverviewRequest & { name: 'overview' })
  | (Connection & { name: 'queue'; request: QueueRequest })
  | (Connection & { name: 'owner'; request: OwnerRequest })
  | (Connection & { name: 'preview'; request: PreviewRequest })
  | (Connection & { name: 'pool'; request: PoolRequest })
  | DeployCommand
  | ImageCommand
  | FollowCommand
  | CancelCommand
  | RetryCommand
  | RollbackCommand
  | (Connection & { name: 'rule'; request: RuleRequest })
  | (Connection & TeamRequest & { name: 'team' })
  | TokenCommand
  | RegistriesCommand
  | RuntimeCommand
  | UpkeepCommand
  | UpCommand
  | DownCommand
  | UpgradeCommand
  | { name: 'help'; of: string | null }
  | { name: 'version' }

/** Parses the command line. Throws a Problem with exit code 2 when it cannot. */
export function readCommandLine(argv: string[], env: NodeJS.ProcessEnv): Command {
  const { values, positionals } = parse(argv)
  if (values.version) return { name: 'version' }
  const [name, ...args] = positionals
  if (name === undefined || name === 'help') return { name: 'help', of: args[0] ?? null }
  if (values.help) return { name: 'help', of: name === 'builder' ? 'builder status' : name }

  const aboutBuilder = readBuilderCommand(positionals, values, env)
  if (aboutBuilder) return aboutBuilder
  if (name === 'builder') throw wrongUse('The usage is: tarmac builder status. See tarmac --help.')

  if (!Object.hasOwn(usages, name))
    throw wrongUse(
      `There is no such command: tarmac ${name}. Did you mean tarmac ${nearestOf(name, Object.keys(usages))}? See tarmac --help.`,
    )
  const isOnFly = name === 'up' || name === 'down' || name === 'upgrade'
  if (isOnFly && args.length === 0) return readUp(name, values, env)
  if (isOnFly) throw misused(name)

  const connection = values['dry-run'] ? nowhere : readConnection(name, values, env)
  const { only, step } = values
  if (only && step) throw wrongUse('Give --only or --step, not both.')
  if (name === 'deploy' && args.length <= 2) return readDeploy(values, args, connection, env)
  if (name === 'follow' && args.length === 1)
    return { name, id: args[0]!, show: { only, step }, ...connection }
  if (name === 'retry' && args.length === 1)
    return { name, id: args[0]!, how: readRetry(values), ...connection }
  if (name === 'cancel' && args.length === 1)
    return { name, id: args[0]!, abort: values.abort, why: values.why ?? null, ...connection }
  if (name === 'audit' && args.length === 0) return { name, ...readAudit(values), ...connection }
  const look = readLook(name, args, values)
  if (look) return { ...look, ...connection }
  const overviewRequest = readOverviewArgs(name, args, values)
  if (overviewRequest) return { name: 'overview', ...overviewRequest, ...connection }
  const previewRequest = name === 'preview' ? readPreviewArgs(args, values, env) : null
  if (previewRequest) return { name: 'preview', request: previewRequest, ...connection }
  const ownerRequest = readOwnerArgs(name, args, values, env)
  if (ownerRequest) return { name: 'owner', request: ownerRequest, ...connection }
  const cacheRequest = name === 'cache' ? readCacheArgs(args, appName) : null
  if (cacheRequest) return { name: 'cache', ...cacheRequest, ...connection }
  const tokenRequest = name === 'token' ? readTokenArgs(args, values) : null
  if (tokenRequest) return { name: 'token', request: tokenRequest, ...connection }
  if (name === 'rollback' && args.length === 1)
    return { name, ...readRollback(args[0]!, values), ...connection }
  const request =
    name === 'rule' ? readRuleArgs(args, values, audOf(connection.gateway, env)) : null
  if (request) return { name: 'rule', request, ...connection }
  const teamRequest = readTeams(name, args)
  if (teamRequest) return { name: 'team', ...teamRequest, ...connection }
  const image = readImage(name, args, values, env)
  const other = image ?? readRuntime(name, args, values) ?? readRegistries(name, args, values)
  if (other) return { ...other, ...connection }
  const upkeep = readUpkeep(name, args, values, connection)
  if (upkeep) return upkeep
  throw misused(name)
}

function readRollback(app: string, { release = '', owner = '' }: Values) {
  asOptions(() => readOptions([['owner', owner]]))
  const query = new URLSearchParams({ ...(release && { release }), owner })
  return { app: appName(app), query }
}

/** Commands about what an app has, and who asks. */
function readLook(name: string, args: string[], values: Values) {
  if (name === 'whoami' && args.length === 0) return { name } as const
  const queue = name === 'queue' ? readQueueArgs(args, values) : null
  if (queue) return { name: 'queue', request: queue } as const
  const source = name === 'source' ? readSourceArgs(args) : null
  if (source) return { name: 'source', ...source } as const
  const drift = name === 'drift' ? readDriftArgs(args, values, appName) : null
  if (drift) return { name: 'drift', ...drift } as const
  const request = name === 'template' ? readTemplateArgs(args, values, appName) : null
  if (request) return { name: 'template', request } as const
  const pool = name === 'pool' ? readPoolArgs(args, values, appName) : null
  if (pool) return { name: 'pool', request: pool } as const
  const routerRequest = name === 'router' ? readRouterArgs(args, values, appName) : null
  if (routerRequest) return { name: 'router', ...routerRequest } as const
  const machines = name === 'machines' ? readMachinesArgs(args, appName) : null
  return machines && ({ name: 'machines', ...machines } as const)
}

function readTeams(name: string, args: string[]): TeamRequest | null {
  if (name === 'limits') return args.length === 0 ? { verb: 'limits' } : null
  return name === 'team' ? readTeamArgs(args) : null
}

const misused = (name: string): Problem =>
  wrongUse(`The usage is: tarmac ${name} ${usages[name]}. See tarmac ${name} --help.`)

const usages: Record<string, string> = {
  deploy: '[APP] [FOLDER]',
  follow: 'DEPLOYMENT',
  retry: 'DEPLOYMENT',
  source: 'DEPLOYMENT [FILE]',
  cancel: 'DEPLOYMENT',
  drift: '[APP] [--accept]',
  doctor: '[OPTIONS]',
  rollback: 'APP',
  image: 'APP IMAGE',
  promote: 'APP --to APP',
  apps: '[APP]',
  deployments: '[APP]',
  releases: 'APP [--owner NAME]',
  queue: queueUsage,
  template: templateUsage,
  pool: poolUsage,
  cache: '[rm APP]',
  rule: ruleUsage,
  registries: registriesUsage,
  team: teamUsage,
  limits: '[OPTIONS]',
  whoami: '[OPTIONS]',
  audit: '[OPTIONS]',
  token: 'create|list|revoke|rotate [NAME]',
  secrets: 'set|unset|list|deploy APP [NAME…]',
  env: 'set|unset|list APP [NAME…]',
  owners: 'APP',
  owner: ownerUsage,
  preview: 'APP [FOLDER], or ls|show|extend|destroy|stop|start|suspend|logs|exec|watch|stats',
  router: 'APP [--domain NAME | --release N], or APP --remove',
  machines: '[list|start|stop|restart] APP [MACHINE]...',
  backup: '[FILE]',
  restore: 'FILE',
  up: '[OPTIONS]',
  down: '[OPTIONS]',
  upgrade: '[OPTIONS]',
}

const readRetry = ({ 'reuse-image': reuseImage, rebuild }: Values): URLSearchParams =>
  new URLSearchParams({ 'reuse-image': String(reuseImage), ...(rebuild && { rebuild: 'true' }) })

/** A command that sends nothing needs no gateway. */
const nowhere: Connection = { gateway: new URL('http://none.invalid'), token: 'none' }

/** Their --app is what a caller may use, and not the builder’s app. */
const namesApps = new Set(['audit', 'rule', 'token'])

function readConnection(name: string, values: Values, env: NodeJS.ProcessEnv): Connection {
  const { gateway, token: given, app } = values
  const known = knownGateway(
    { gateway, token: given, app: namesApps.has(name) ? undefined : app },
    env,
  )
  if (!known.gateway)
    throw wrongUse(
      'The address of the gateway is missing. Set TARMAC_GATEWAY, or give --gateway URL. To make a gateway: tarmac up.',
    )
  const token = known.token.trim()
  if (!/^[\x21-\x7e]*$/.test(token))
    throw new Problem(
      'unauthorized',
      `${values.token === undefined ? 'TARMAC_TOKEN' : '--token'} is no token: it has a space, a line feed or another character that no token has.`,
    )
  return { gateway: gatewayUrl(known.gateway), token }
}
