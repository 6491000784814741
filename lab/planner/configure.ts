import { isObject } from '#api/is-object.ts'
import type { Cache, Command, Draft, Layer, Step } from './draft.ts'
import { PlanError, addStep, say, setting, useTool } from './draft.ts'

/**
 * The content of railpack.json. The command line and `RAILPACK_…` variables are converted to the
 * same form.
 */
export type Config = {
  provider?: string
  packages?: Record<string, string>
  buildAptPackages?: string[]
  caches?: Record<string, Cache>
  secrets?: string[]
  exclude?: string[]
  steps?: Record<string, StepConfig>
  deploy?: {
    base?: Layer
    inputs?: (Layer | string)[]
    startCommand?: string
    variables?: Record<string, string>
    paths?: string[]
    aptPackages?: string[]
  }
}
type StepConfig = Partial<Omit<Step, 'inputs' | 'commands'>> & {
  inputs?: (Layer | string)[]
  commands?: (Command | string)[]
  deployOutputs?: ({ include?: string[]; exclude?: string[] } | string)[]
}
export type Flags = { buildCmd: string; startCmd: string; configFile: string }

/**
 * Reads options, then variables, then the file. Later ones win, as in railpack (its own
 * documentation says otherwise).
 */
export function readConfig(draft: Draft, flags: Flags): Config {
  const fromFlags = commandsConfig({ build: flags.buildCmd, install: '', start: flags.startCmd })
  const fromEnv: Config = {
    ...commandsConfig({
      build: setting(draft, 'BUILD_CMD'),
      install: setting(draft, 'INSTALL_CMD'),
      start: setting(draft, 'START_CMD'),
    }),
    ...list(draft, 'BUILD_APT_PACKAGES', (names) => ({ buildAptPackages: names })),
    ...list(draft, 'PACKAGES', (names) => ({
      packages: Object.fromEntries(
        names.map((name) => [name.split('@')[0], name.split('@')[1] ?? 'latest']),
      ),
    })),
  }
  const deployApt = list(draft, 'DEPLOY_APT_PACKAGES', (names) => ({
    deploy: { aptPackages: names },
  }))
  return [fromEnv, deployApt, readFile(draft, flags)].reduce(
    (all, each) => merge(all, each) as Config,
    fromFlags,
  )
}

/** Applies the configuration to the provider's result. */
export function applyConfig(draft: Draft, config: Config): void {
  for (const [name, version] of Object.entries(config.packages ?? {})) {
    useTool(draft, name, { version, source: 'custom config' })
  }
  const apt = config.buildAptPackages
  if (apt)
    draft.buildAptPackages = spread(
      apt.includes('...') ? apt : ['...', ...apt],
      draft.buildAptPackages,
    )
  Object.assign(draft.caches, config.caches)
  draft.secrets = [...new Set([...Object.keys(draft.env).toSorted(), ...(config.secrets ?? [])])]
  draft.exclude.push(...(config.exclude ?? []))

  const { deploy } = config
  const inputs = deploy?.inputs?.map(layer)
  if (deploy?.base) draft.deploy.base = deploy.base
  if (deploy?.startCommand) draft.deploy.startCommand = deploy.startCommand
  draft.deploy.aptPackages = spread(deploy?.aptPackages, draft.deploy.aptPackages)
  draft.deploy.paths = spread(deploy?.paths, draft.deploy.paths)
  draft.deploy.inputs = spread(inputs, draft.deploy.inputs)
  Object.assign(draft.deploy.variables, deploy?.variables)
  const replacesInputs = inputs !== undefined && !inputs.some(isSpread)

  for (const name of Object.keys(config.steps ?? {}).toSorted()) {
    applyStep(draft, name, config.steps?.[name] ?? {}, replacesInputs)
  }
}

function applyStep(draft: Draft, name: string, wanted: StepConfig, replacesInputs: boolean): void {
  if (name.startsWith('packages:'))
    return say(draft, 'warn', `Step \`${name}\` exists, but it is not a command step`)
  const step =
    draft.steps.find((each) => each.name === name) ??
    addStep(draft, name, { inputs: [{ step: 'packages:mise' }] })
  step.inputs = spread(wanted.inputs?.map(layer), step.inputs)
  step.commands = spread(wanted.commands?.map(command), step.commands)
  step.secrets = spread(wanted.secrets, step.secrets)
  step.caches = spread(wanted.caches, step.caches)
  Object.assign(step.variables, wanted.variables)
  Object.assign(step.assets, wanted.assets)

  const deployed = draft.deploy.inputs.filter((input) => input.step === name)
  if (!wanted.deployOutputs && (replacesInputs || deployed.length > 0)) return
  const covered = (path: string) =>
    deployed.some(({ include }) => include?.some((each) => [path, '.'].includes(each)))
  for (const output of wanted.deployOutputs ?? ['.']) {
    const filter = typeof output === 'string' ? { include: [output] } : output
    if (!filter.include?.some(covered)) draft.deploy.inputs.push({ step: name, ...filter })
  }
}

function commandsConfig(commands: { build: string; install: string; start: string }): Config {
  const steps = (['install', 'build'] as const)
    .filter((name) => commands[name])
    .map((name) => [name, { commands: [{ src: '.', dest: '.' }, command(commands[name])] }])
  return {
    steps: Object.fromEntries(steps),
    ...(commands.start && { deploy: { startCommand: commands.start } }),
  }
}

function list(draft: Draft, name: string, make: (words: string[]) => Config): Config {
  const words = setting(draft, name).split(' ').filter(Boolean)
  return words.length > 0 ? make(words) : {}
}

function readFile(draft: Draft, flags: Flags): Config {
  const named = setting(draft, 'CONFIG_FILE') || flags.configFile
  const file = named || 'railpack.json'
  if (!draft.files.has(file)) {
    if (named) throw new PlanError(`config file "${file}" not found`)
    return {}
  }
  try {
    const config = JSON.parse(plainJson(draft.files.read(file))) as Config
    say(draft, 'info', `Using config file \`${file}\``)
    return config
  } catch (error) {
    throw new PlanError(`error reading ${file} as JSON: ${String(error)}`)
  }
}

/** Removes the comments and trailing commas that railpack.json may have. */
function plainJson(text: string): string {
  const bare = text.replaceAll(/("(?:\\.|[^"\\])*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, '$1')
  return bare.replaceAll(/("(?:\\.|[^"\\])*")|,(?=\s*[}\]])/g, '$1')
}

/** Joins maps, and replaces everything else. */
function merge(earlier: unknown, later: unknown): unknown {
  if (!isObject(earlier) || !isObject(later)) return later ?? earlier
  const keys = new Set([...Object.keys(earlier), ...Object.keys(later)])
  return Object.fromEntries([...keys].map((key) => [key, merge(earlier[key], later[key])]))
}

/** A configured list replaces the generated one. `...` in it represents the generated one. */
function spread<T extends object | string>(configured: T[] | undefined, generated: T[]): T[] {
  return configured?.flatMap((each) => (isSpread(each) ? generated : [each])) ?? generated
}

const isSpread = (each: object | string): boolean =>
  each === '...' ||
  (typeof each === 'object' && ('spread' in each || ('cmd' in each && each.cmd === '...')))

function layer(each: Layer | string): Layer {
  if (typeof each !== 'string') return each
  if (each === '...') return { spread: true }
  return each === '.' ? { local: true, include: ['.'] } : { step: each.replace(/^\$/, '') }
}

const command = (each: Command | string): Command =>
  typeof each === 'string' && each !== '...'
    ? { cmd: `sh -c '${each}'`, customName: each }
    : asCommand(each)
const asCommand = (each: Command | string): Command =>
  typeof each === 'string' ? { cmd: each } : each
