import type { Draft, LogLine, Step, Tool } from './draft.ts'
import { PlanError, aptCaches, runtimeImage, say } from './draft.ts'
import type { Flags } from './configure.ts'
import { applyConfig, readConfig } from './configure.ts'
import { aptInstall, miseSteps, unmetVersionFiles } from './mise-step.ts'
import { isGo, planGo } from './plan-go.ts'
import { planNode } from './plan-node.ts'
import { isPython, planPython } from './plan-python.ts'
import { planShell, shellScript } from './plan-shell.ts'
import { planStatic, staticRoot } from './plan-static.ts'
import { sourceFiles } from './source-files.ts'
import { readYamlMap } from './yaml-map.ts'

export const version = '0.37.0-standin'

/** The content of railpack's info file. */
export type Info = {
  success: boolean
  logs: LogLine[]
  railpackVersion?: string
  detectedProviders?: string[]
  resolvedPackages?: Record<string, Tool>
  metadata?: Record<string, string>
}

/** Returns a plan for the app in a folder, or the reason why there is none. */
export function planApp(
  folder: string,
  env: Record<string, string>,
  flags: Flags & { errorMissingStart: boolean },
): { plan: unknown; info: Info } {
  const draft: Draft = {
    files: sourceFiles(folder),
    env,
    steps: [],
    caches: {},
    secrets: [],
    exclude: [],
    buildAptPackages: [],
    tools: new Map(),
    miseSettings: {},
    deploy: {
      base: { image: runtimeImage },
      inputs: [],
      startCommand: '',
      variables: {},
      paths: [],
      aptPackages: [],
    },
    metadata: {},
    logs: [],
  }
  say(
    draft,
    'warn',
    `Planned by Tarmac's stand-in for railpack (${version}), not by railpack itself.`,
  )
  try {
    const plan = makePlan(draft, flags)
    return {
      plan,
      info: {
        success: true,
        logs: draft.logs,
        railpackVersion: version,
        detectedProviders: [draft.metadata['providers'] ?? ''],
        resolvedPackages: Object.fromEntries(draft.tools),
        metadata: draft.metadata,
      },
    }
  } catch (error) {
    if (!(error instanceof PlanError)) throw error
    say(draft, 'error', error.message)
    return { plan: null, info: { success: false, logs: draft.logs } }
  }
}

function makePlan(draft: Draft, flags: Flags & { errorMissingStart: boolean }): unknown {
  const { files } = draft
  const config = readConfig(draft, flags)
  if (files.has('.dockerignore')) {
    say(draft, 'info', 'Found .dockerignore file, applying filters')
    draft.metadata['dockerIgnore'] = 'true'
    draft.exclude.push(...ignorePatterns(files.read('.dockerignore')))
  }
  draft.exclude.push(...unmetVersionFiles(draft))

  const detected = providers.find(({ detect }) => detect(draft))
  const forced = providers.find(({ name }) => name === config.provider?.toLowerCase())
  draft.metadata['providers'] = detected?.name ?? ''
  const provider = forced ?? detected
  if (provider) say(draft, 'info', `Detected ${capitalised(provider.name)}`)
  provider?.plan(draft, config.deploy?.startCommand ?? '')

  const { web, worker, ...others } = readYamlMap(files.read('Procfile'))
  draft.deploy.startCommand = web ?? worker ?? Object.values(others)[0] ?? draft.deploy.startCommand
  applyConfig(draft, config)
  keepModules(draft)
  return finish(draft, flags.errorMissingStart)
}

/** A step that deletes node_modules cannot have a cache mounted in it. */
function keepModules(draft: Draft): void {
  for (const step of draft.steps.filter(({ name }) => name !== 'install')) {
    const removes = step.commands.some(
      (each) => 'cmd' in each && /\bnpm\s+ci\b|\brm -rf? \S*node_modules\b/.test(each.cmd),
    )
    if (removes) step.caches = step.caches.filter((name) => name !== 'node-modules')
  }
}

type Provider = {
  name: string
  detect: (draft: Draft) => boolean
  plan: (draft: Draft, configuredStart: string) => void
}

/**
 * A kind of app that railpack knows and the stand-in does not. The stand-in refuses it instead of
 * guessing.
 */
const unknown = (name: string, ...signs: string[]): Provider => ({
  name,
  detect: ({ files }) =>
    signs.some((sign) => (sign.startsWith('*') ? endsWith(files.root(), sign) : files.has(sign))),
  plan() {
    throw new PlanError(
      `This is a ${capitalised(name)} app, which the stand-in planner does not know (it knows Go, Node with npm, Python with requirements.txt, static files and shell scripts). Use a real railpack, or a Dockerfile.`,
    )
  },
})
const endsWith = (names: string[], sign: string) =>
  names.some((name) => name.endsWith(sign.slice(1)))

/** In railpack's order: the first detected provider plans. */
const providers: Provider[] = [
  unknown('php', 'index.php', 'composer.json'),
  { name: 'golang', detect: isGo, plan: planGo },
  unknown('java', 'pom.xml', 'gradlew'),
  unknown('rust', 'Cargo.toml'),
  unknown('ruby', 'Gemfile'),
  unknown('elixir', 'mix.exs'),
  { name: 'python', detect: isPython, plan: planPython },
  unknown('deno', 'deno.json', 'deno.jsonc'),
  unknown('dotnet', '*.csproj'),
  { name: 'node', detect: ({ files }) => files.has('package.json'), plan: planNode },
  unknown('gleam', 'gleam.toml'),
  unknown('cpp', 'CMakeLists.txt', 'meson.build'),
  { name: 'staticfile', detect: (draft) => staticRoot(draft) !== null, plan: planStatic },
  { name: 'shell', detect: (draft) => shellScript(draft) !== null, plan: planShell },
]

const capitalised = (name: string) => name.charAt(0).toUpperCase() + name.slice(1)

function ignorePatterns(text: string): string[] {
  const lines = text.split(/\r?\n/).filter((line) => !line.startsWith('#'))
  return lines
    .map((line) => line.trim())
    .filter(Boolean)
    .map((line) => line.replace(/^(!?)\s*(?:\.?\/)*(?=.)/, '$1').replace(/(.)\/+$/, '$1'))
}

/** Adds the steps that depend on others, checks the whole plan, and drops unused parts. */
function finish(draft: Draft, errorMissingStart: boolean): unknown {
  const { deploy } = draft
  const steps = [...miseSteps(draft), ...draft.steps]
  let { base } = deploy
  if (deploy.aptPackages.length > 0) {
    Object.assign(draft.caches, aptCaches)
    const name = 'packages:apt:runtime'
    const commands = [aptInstall(deploy.aptPackages)]
    steps.push({
      name,
      inputs: [base],
      commands,
      secrets: [],
      assets: {},
      variables: {},
      caches: Object.keys(aptCaches),
    })
    base = { step: name }
  }
  const kept = referenced(steps, [base, ...deploy.inputs])
  if (kept.every(({ commands }) => commands.length === 0)) throw new PlanError(nothingFound(draft))
  if (!deploy.startCommand) {
    const words =
      'No start command detected. Specify a start command: https://railpack.com/config/file#deploy'
    if (errorMissingStart) throw new PlanError(words)
    say(draft, 'warn', words)
  }
  const bad = kept.find(
    ({ inputs: [first] }) => !(first?.image ?? first?.step) || first?.include || first?.exclude,
  )
  if (bad)
    throw new PlanError(`The first input of step \`${bad.name}\` must be a whole image or step`)
  return cleanUp({
    $schema: 'https://schema.railpack.com',
    steps: kept,
    caches: draft.caches,
    secrets: draft.secrets,
    exclude: draft.exclude,
    deploy: {
      base,
      inputs: deploy.inputs,
      startCommand: deploy.startCommand,
      variables: { ...deploy.variables, RAILPACK_VERSION: version },
      paths: deploy.paths,
    },
  })
}

function referenced(steps: Step[], layers: { step?: string }[]): Step[] {
  const names = new Set<string>()
  const visit = (name: string | undefined) => {
    if (!name || names.has(name)) return
    names.add(name)
    for (const input of steps.find((step) => step.name === name)?.inputs ?? []) visit(input.step)
  }
  for (const layer of layers) visit(layer.step)
  return steps.filter(({ name }) => names.has(name))
}

function nothingFound(draft: Draft): string {
  return [
    'Railpack could not determine how to build the app.',
    '',
    'The following languages are supported:',
    ...providers.map(({ name }) => `- ${capitalised(name)}`),
    '',
    'The app contents that Railpack analyzed contains:',
    '',
    ...draft.files.root().map((name) => `  ${name}`),
  ].join('\n')
}

/** In railpack's form: sorted keys, nothing empty. */
function cleanUp(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(cleanUp)
  if (typeof value !== 'object' || value === null) return value
  const kept = Object.entries(value).filter(
    ([, each]) =>
      each !== undefined &&
      each !== '' &&
      (typeof each !== 'object' || Object.keys(each as object).length > 0),
  )
  return Object.fromEntries(
    kept.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, each]) => [key, cleanUp(each)]),
  )
}
