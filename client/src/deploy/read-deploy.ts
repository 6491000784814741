import { type DeploymentOptions, readOptions } from '#api/options.ts'
import type { Connection } from '../connection.ts'
import type { Values } from '../flags.ts'
import { appName, asOptions, wrongUse } from '../option.ts'
import { type FolderOptions, readFolderOptions } from './read-folder-options.ts'
import { readSecrets } from './read-secrets.ts'

export type DeployCommand = Connection &
  FolderOptions & {
    name: 'deploy'
    folder: string
    /** Null: the config file of the folder names it. */
    app: string | null
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
    ...readFolderOptions(values),
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

/** `--env A=b` → `['env.A', 'b']`. */
export function assignment(map: string, pair: string): [string, string] {
  const at = pair.indexOf('=')
  if (at < 1) throw wrongUse(`--${map} is given as NAME=VALUE, not as ${pair}.`)
  return [`${map}.${pair.slice(0, at)}`, pair.slice(at + 1)]
}
