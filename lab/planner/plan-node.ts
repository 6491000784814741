import type { Draft, Step } from './draft.ts'
import {
  PlanError,
  addCache,
  addStep,
  isOn,
  localLayer,
  say,
  secretsWith,
  setting,
  useTool,
} from './draft.ts'
import { miseLayer, versionFrom } from './mise-step.ts'
import { planPages } from './plan-static.ts'

type Package = {
  main?: string
  scripts?: Record<string, string>
  engines?: Record<string, string>
  packageManager?: string
  workspaces?: unknown
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
}

const variables = {
  CI: 'true',
  NODE_ENV: 'production',
  NPM_CONFIG_FETCH_RETRIES: '5',
  NPM_CONFIG_FUND: 'false',
  NPM_CONFIG_PRODUCTION: 'false',
  NPM_CONFIG_UPDATE_NOTIFIER: 'false',
}
const otherManagers = [
  'pnpm-lock.yaml',
  'bun.lockb',
  'bun.lock',
  '.yarnrc.yml',
  '.yarnrc.yaml',
  'yarn.lock',
]
const installFiles =
  /^(package\.json5?|package-lock\.json|pnpm-workspace\.yaml|bunfig\.toml|\.yarn|\.pnp\..*|\.npmrc|\.node-version|\.nvmrc|patches|prisma)$/
/** Folders that frameworks keep between builds. The cache has the framework's name. */
const frameworkCaches: { name: string; dependency: string; script?: string; folder: string }[] = [
  { name: 'next', dependency: 'next', script: 'next build', folder: '.next/cache' },
  { name: 'remix', dependency: '@remix-run/node', folder: '.cache' },
  { name: 'astro', dependency: 'astro', script: 'astro build', folder: 'node_modules/.astro' },
]

/** Node with npm, as railpack plans it. */
export function planNode(draft: Draft, configuredStart: string): void {
  const root = readPackage(draft, 'package.json')
  refuseOtherManagers(draft, root)
  say(draft, 'info', 'Using npm package manager')
  if (!draft.files.has('package-lock.json')) {
    say(
      draft,
      'suggestion',
      'Add a `package-lock.json` for more deterministic installs',
      '/architecture/recommendations',
    )
  }

  const engine = root.engines?.['node']
  useTool(
    draft,
    'node',
    versionFrom(draft, ['.nvmrc', '.node-version'], 'NODE_VERSION') ??
      (engine ? { version: engine, source: 'package.json > engines > node' } : undefined) ?? {
        version: 'lts',
        source: 'railpack default',
      },
  )
  draft.deploy.aptPackages.push('libatomic1')
  if (root.packageManager) draft.miseSettings['node'] = { corepack: true }

  const install = addStep(draft, 'install', {
    inputs: [{ step: 'packages:mise' }],
    secrets: secretsWith(draft, ['NODE', 'NPM', 'BUN', 'PNPM', 'YARN', 'CI']),
    variables: { ...variables },
    caches: [addCache(draft, 'npm-install', '/root/.npm')],
  })
  addInstallCommands(draft, install, root)

  const prunes = isOn(draft, 'PRUNE_DEPS')
  if (prunes) {
    addStep(draft, 'prune', {
      inputs: [{ step: 'install' }],
      commands: [
        { cmd: setting(draft, 'NODE_PRUNE_CMD') || 'npm prune --omit=dev --ignore-scripts' },
      ],
      secrets: [],
      variables: { NPM_CONFIG_PRODUCTION: 'true' },
      caches: ['npm-install'],
    })
  }

  const script = root.scripts?.['build'] ?? ''
  addStep(draft, 'build', {
    inputs: [{ step: 'install' }, localLayer],
    commands: script ? [{ cmd: 'npm run build' }] : [],
    variables: script && depends(root, 'next') ? { NEXT_TELEMETRY_DISABLED: '1' } : {},
    caches: [
      addCache(draft, 'node-modules', '/app/node_modules/.cache'),
      ...frameworkCaches
        .filter(
          (each) =>
            depends(root, each.dependency) && (!each.script || script.includes(each.script)),
        )
        .map(({ name, folder }) => addCache(draft, name, `/app/${folder}`)),
      ...(isVite(draft, root) ? [addCache(draft, 'vite', '/app/node_modules/.vite')] : []),
    ],
  })

  Object.assign(draft.deploy.variables, variables)
  const pages = pagesFolder(draft, root, configuredStart)
  if (pages) return planPages(draft, pages)

  draft.deploy.startCommand = startCommand(draft, root)
  const corepack = root.packageManager ? ['/opt/corepack', '/mise/installs', '/mise/shims'] : []
  draft.deploy.inputs.push(
    ...miseLayer(draft),
    { step: prunes ? 'prune' : 'build', include: ['/app/node_modules'] },
    {
      step: 'build',
      include: ['/root/.cache', '.', ...corepack],
      exclude: ['node_modules', '.yarn'],
    },
  )
}

function readPackage(draft: Draft, path: string): Package {
  try {
    return JSON.parse(draft.files.read(path)) as Package
  } catch (error) {
    throw new PlanError(`error reading ${path}: ${String(error)}`)
  }
}

function refuseOtherManagers(draft: Draft, root: Package): void {
  const engine = ['pnpm', 'bun', 'yarn'].find((name) => root.engines?.[name])
  const asked = root.packageManager?.split('@')[0] ?? engine
  const lockfile = otherManagers.find((file) => draft.files.has(file))
  if (asked === 'npm' || (!asked && !lockfile)) return
  throw new PlanError(
    `The stand-in planner knows npm alone, and ${asked ? `package.json asks for ${asked}` : `there is a ${lockfile}`}. Use a real railpack for this app.`,
  )
}

function addInstallCommands(draft: Draft, install: Step, root: Package): void {
  install.commands.push({ path: '/app/node_modules/.bin' })
  if (root.packageManager) {
    install.variables['COREPACK_HOME'] = '/opt/corepack'
    const corepack = 'npm i -g corepack@latest && corepack enable && corepack prepare --activate'
    install.commands.push(copy('package.json'), {
      cmd: `sh -c '${corepack}'`,
      customName: corepack,
    })
  }
  install.commands.push({ cmd: 'mkdir -p /app/node_modules/.cache' })
  const found = draft.files.find(installFiles)
  const manifests = found.files
    .filter((path) => path.endsWith('package.json'))
    .map((path) => readPackage(draft, path))
  const scripted = (root.workspaces ? manifests : [root]).some(({ scripts }) =>
    ['preinstall', 'postinstall', 'prepare'].some((name) => scripts?.[name]),
  )
  const usesLocalFile = manifests.some(({ dependencies, devDependencies }) =>
    Object.values({ ...dependencies, ...devDependencies }).some((version) =>
      version.startsWith('file:'),
    ),
  )
  if (scripted || usesLocalFile) install.inputs.push(localLayer)
  else install.commands.push(...[...found.files, ...found.folders].map(copy))
  install.commands.push({ cmd: setting(draft, 'NODE_NPM_INSTALL') || 'npm install' })
}

const copy = (path: string) => ({ src: path, dest: path })

const depends = (root: Package, name: string) =>
  Boolean(root.dependencies?.[name] ?? root.devDependencies?.[name])

function isVite(draft: Draft, root: Package): boolean {
  const build = root.scripts?.['build'] ?? ''
  const configured =
    build.includes('vite build') ||
    ['js', 'ts'].some((end) => draft.files.has(`vite.config.${end}`))
  const servesItself = ['@sveltejs/kit', '@tanstack/react-start'].some((name) =>
    depends(root, name),
  )
  return Boolean(build) && configured && depends(root, 'vite') && !servesItself
}

/** The folder of built pages that no program of the app serves, or an empty text. */
function pagesFolder(draft: Draft, root: Package, configuredStart: string): string {
  if (isOn(draft, 'NO_SPA')) return ''
  const asked = setting(draft, 'SPA_OUTPUT_DIR')
  const start = configuredStart || root.scripts?.['start']
  if (asked || (start && start !== 'react-scripts start')) return asked
  if (isVite(draft, root)) return 'dist'
  return root.scripts?.['build']?.includes('react-scripts build') ? 'build' : ''
}

function startCommand(draft: Draft, root: Package): string {
  if (root.scripts?.['start']) return 'npm run start'
  const file = root.main ?? ['index.js', 'index.ts'].find((name) => draft.files.has(name))
  if (file) return `node ${file}`
  return depends(root, 'nuxt') ? 'node .output/server/index.mjs' : ''
}
