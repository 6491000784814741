import { type DeploymentOptions, readOptions } from '#api/options.ts'
import { cleanPath, isOutside } from '#api/text/clean-path.ts'
import type { Connection } from '../connection.ts'
import type { Values } from '../flags.ts'
import { appName, asOptions, wrongUse } from '../option.ts'
import { readSecrets } from './read-secrets.ts'

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

export function readDeploy(
  values: Values,
  args: string[],
  connection: Connection,
  env: NodeJS.ProcessEnv,
): DeployCommand {
  const { config, dockerfile, plan, target, platform } = values
  const given: [string, string][] = [
    ['deploy', String(!values['no-deploy'])],
    ['rebuild', String(values.rebuild)],
    ...present({ config, dockerfile, plan, target, platform }),
    ...machineOptions(values),
    ...(values.build ?? []).map((pair) => assignment('build', pair)),
  ]
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

/** The options about machines, for sources and for images that exist. */
export function machineOptions(values: Values): [string, string][] {
  const { region, count, strategy, owner, lane, network } = values
  return [
    ['ha', String(values.ha)],
    ['new-volumes', String(values['new-volumes'])],
    ...present({ region, count, strategy, owner, lane, network }),
    ...present({ 'force-over': values['force-over'] }),
    ...(values.tag ?? []).map((tag): [string, string] => ['tag', tag]),
    ...(values.env ?? []).map((pair) => assignment('env', pair)),
  ]
}

const present = (options: Record<string, string | undefined>) =>
  Object.entries(options).filter((pair): pair is [string, string] => pair[1] !== undefined)

/** One word with a dot or a slash, as in `tarmac deploy ./web`, can only be a folder. */
function appAndFolder([first, folder]: string[]): { app: string | null; folder: string } {
  if (first === undefined) return { app: null, folder: '.' }
  if (folder === undefined && /[./]/.test(first)) return { app: null, folder: first }
  return { app: appName(first), folder: folder ?? '.' }
}

/** A path inside the folder, as the entries of a source have it. */
export function pathInside(path: string): string {
  const cleaned = cleanPath(path)
  if (cleaned !== '.' && !isOutside(cleaned)) return cleaned
  throw wrongUse(`--include is given a path inside the folder, like dist, not ${path}.`)
}

/** `--env A=b` → `['env.A', 'b']`. */
export function assignment(map: string, pair: string): [string, string] {
  const at = pair.indexOf('=')
  if (at < 1) throw wrongUse(`--${map} is given as NAME=VALUE, not as ${pair}.`)
  return [`${map}.${pair.slice(0, at)}`, pair.slice(at + 1)]
}
