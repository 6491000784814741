import { parseArgs } from 'node:util'
import { AppName, appNameRule } from '#api/app.ts'
import { errorMessage } from '#api/error-code.ts'
import { exitCodes } from '#api/problem/exit-codes.ts'
import { type DeploymentOptions, readOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { readSecrets } from './read-secrets.ts'

type Connection = { gateway: URL; token: string }
export type DeployCommand = Connection & {
  name: 'deploy'
  app: string
  folder: string
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
  | { name: 'help' }
  | { name: 'version' }

const flags = {
  env: { type: 'string', multiple: true },
  build: { type: 'string', multiple: true },
  secret: { type: 'string', multiple: true },
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
  'force-over': { type: 'string' },
  owner: { type: 'string' },
  lane: { type: 'string' },
  gateway: { type: 'string' },
  token: { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
  version: { type: 'boolean', default: false },
} as const

export const help = `Usage: tarmac deploy <app> [folder]    send a folder (default: this one), and follow it until it is live
       tarmac follow <deployment>      read the log of a deployment from its start, and wait for its end
       tarmac retry <deployment>       deploy the same source once more, without an upload
       tarmac rollback <app>           deploy the previous release again: image, config and environment
       tarmac cancel <deployment>      stop a deployment that has not changed machines

Options of deploy:
  --env NAME=VALUE      environment of the machines; may be repeated; nothing secret
  --build NAME=VALUE    a variable of the build; may be repeated; nothing secret
  --secret NAME         a secret for build steps, from the environment; NAME=@FILE: from a file
  --no-deploy           build and push the image, touch no machine
  --rebuild             run every step again, even if it is cached
  --region CODE         region of new machines
  --count N             machines of a process group that has none yet, 1 to 100
  --config, -c PATH     config file of the folder, instead of fly.toml, fly.json or fly.yaml
  --dockerfile PATH     build with this Dockerfile of the folder
  --target STAGE        build this stage of the Dockerfile
  --platform LIST       one image for several platforms, as linux/amd64,linux/arm64
  --tag TAG             one more tag for the image; may be repeated
  --plan PATH           build by this railpack plan of the folder
  --strategy NAME       rolling, canary, bluegreen or immediate
  --ha                  two machines instead of one where there is none yet
  --new-volumes         new, empty volumes, even where one of that name is elsewhere
  --force-over N        deploy even over deployment N, which the gateway's record does not know
  --owner NAME          the machines of one of the app's users, with their own queue
  --lane POLICY         what happens to others in that queue: latest, cancel-running, fifo or reject
  --detach              return when the gateway has the source

Options of follow:
  --only TYPES          only these events, as state or state,machine
  --step TEXT           only the build steps whose name contains this text

Options of retry:
  --reuse-image         deploy the image that was built, build nothing

Options of rollback:
  --release N           this release instead of the previous one
  --owner NAME          the machines of one of the app's users

Options of cancel:
  --abort               also when machines have changed: they are rolled back
  --why TEXT            the reason, for the record

Options of all commands:
  --json                one JSON object per line on stdout; the last has "type": "result"
  --gateway URL         address of the gateway (or TARMAC_GATEWAY)
  --token TOKEN         its token (better: TARMAC_TOKEN, which no process list shows)
  --help, --version

Only the address of the app goes to stdout. The client sends neither .git and node_modules, nor what .gitignore and
.dockerignore exclude.

Exit codes:
${Object.entries(exitCodes)
  .map(([code, meaning]) => `  ${code.padEnd(4)}${meaning}`)
  .join('\n')}`

/** Parses the command line. Throws a Problem with exit code 2 when it cannot. */
export function readCommandLine(argv: string[], env: NodeJS.ProcessEnv): Command {
  const { values, positionals } = parse(argv)
  if (values.version) return { name: 'version' }
  const [name, ...args] = positionals
  if (values.help || name === undefined || name === 'help') return { name: 'help' }

  const address = values.gateway ?? env['TARMAC_GATEWAY']
  if (!address)
    throw wrongUse(
      'The address of the gateway is missing. Set TARMAC_GATEWAY, or give --gateway URL.',
    )
  const connection = { gateway: readUrl(address), token: values.token ?? env['TARMAC_TOKEN'] ?? '' }
  const { only, step } = values
  if (only && step) throw wrongUse('Give --only or --step, not both.')
  if (name === 'follow' && args.length === 1)
    return { name, id: args[0]!, show: { only, step }, ...connection }
  if (name === 'retry' && args.length === 1)
    return { name, id: args[0]!, reuseImage: values['reuse-image'], ...connection }
  if (name === 'cancel' && args.length === 1)
    return { name, id: args[0]!, abort: values.abort, why: values.why ?? null, ...connection }
  if (name === 'rollback' && args.length === 1) {
    const { release = '', owner = '' } = values
    return {
      name,
      app: appName(args[0]!),
      query: new URLSearchParams({ ...(release && { release }), owner }),
      ...connection,
    }
  }
  if (name !== 'deploy' || args.length < 1 || args.length > 2)
    throw wrongUse(`There is no such command: tarmac ${positionals.join(' ')}. See tarmac --help.`)

  const [app = '', folder = '.'] = args
  const { region, count, config, dockerfile, plan, target, platform, strategy, owner, lane } =
    values
  const pairs: [string, string | undefined][] = [
    ['deploy', String(!values['no-deploy'])],
    ['rebuild', String(values.rebuild)],
    ['ha', String(values.ha)],
    ['new-volumes', String(values['new-volumes'])],
    ['force-over', values['force-over']],
    ...Object.entries({ region, count, config, dockerfile, plan, target }),
    ...Object.entries({ platform, strategy, owner, lane }),
    ...(values.tag ?? []).map((tag): [string, string] => ['tag', tag]),
    ...(values.env ?? []).map((pair) => assignment('env', pair)),
    ...(values.build ?? []).map((pair) => assignment('build', pair)),
  ]
  const query = pairs.filter((pair): pair is [string, string] => pair[1] !== undefined)
  const secrets = readSecrets(values.secret ?? [], env)
  return {
    name,
    app: appName(app),
    folder,
    options: readOptions(query).options,
    secrets,
    detach: values.detach,
    ...connection,
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
