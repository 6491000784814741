import type { Draft, Layer, Step } from './draft.ts'
import { allows, aptCaches, builderImage, setting } from './draft.ts'
import { bakedTools } from '../pins.ts'

const configFiles = [
  'mise.toml',
  '.mise.toml',
  'mise/config.toml',
  '.mise/config.toml',
  '.config/mise.toml',
  '.config/mise/config.toml',
  '.tool-versions',
]
const versionFiles = {
  '.python-version': 'python',
  '.node-version': 'node',
  '.nvmrc': 'node',
  '.go-version': 'go',
} as const
const idiomatic = [
  'python',
  'node',
  'ruby',
  'elixir',
  'go',
  'java',
  'yarn',
  'bun',
  'deno',
  'dotnet',
  'rust',
]

/** The version that the app requests: by variable, else in the first of these files. */
export function versionFrom(
  draft: Draft,
  files: string[],
  variable: string,
): { version: string; source: string } | null {
  const asked = setting(draft, variable)
  if (asked) return { version: asked, source: `RAILPACK_${variable}` }
  const file = files.find((path) => versionIn(draft, path))
  return file ? { version: versionIn(draft, file), source: file } : null
}

const versionIn = (draft: Draft, file: string): string =>
  draft.files.read(file).replaceAll(/#.*/g, '').trim()

/** The parts of mise for the image. Nothing when no tool is requested. */
export function miseLayer(draft: Draft): Layer[] {
  if (!isNeeded(draft)) return []
  const include = [
    '/mise/shims',
    '/mise/installs',
    '/usr/local/bin/mise',
    '/etc/mise/config.toml',
    '/root/.local/state/mise',
  ]
  return [{ step: 'packages:mise', include }]
}

/** The first steps of a plan: apt packages of the build, then the tools. */
export function miseSteps(draft: Draft): Step[] {
  const bare = { commands: [], secrets: [], assets: {}, variables: {}, caches: [] }
  const apt: Step[] = []
  if (draft.buildAptPackages.length > 0) {
    Object.assign(draft.caches, aptCaches)
    const commands = [aptInstall(draft.buildAptPackages)]
    apt.push({
      ...bare,
      name: 'packages:apt:build',
      inputs: [{ image: builderImage }],
      commands,
      caches: Object.keys(aptCaches),
    })
  }
  const mise: Step = {
    ...bare,
    name: 'packages:mise',
    inputs: [apt[0] ? { step: apt[0].name } : { image: builderImage }],
  }
  if (!isNeeded(draft)) return [...apt, mise]
  const tools = [...draft.tools.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return [
    ...apt,
    {
      ...mise,
      assets: { 'generated-mise-toml': miseToml(draft, tools) },
      commands: [
        { path: '/mise/shims' },
        ...foundFiles(draft).map((path) => ({ src: path, dest: path })),
        {
          path: '/etc/mise/config.toml',
          name: 'generated-mise-toml',
          customName: 'create mise config',
        },
        {
          cmd: 'mise install',
          customName: `install mise packages: ${tools.map(({ name }) => name).join(', ')}`,
        },
      ],
      variables: {
        MISE_CACHE_DIR: '/mise/cache',
        MISE_CONFIG_DIR: '/mise',
        MISE_DATA_DIR: '/mise',
        MISE_INSTALLS_DIR: '/mise/installs',
        MISE_SHIMS_DIR: '/mise/shims',
      },
    },
  ]
}

export function aptInstall(packages: string[]): { cmd: string; customName: string } {
  const list = [...new Set(packages)].toSorted().join(' ')
  return {
    cmd: `sh -c 'apt-get update && apt-get install -y ${list}'`,
    customName: `install apt packages: ${list}`,
  }
}

/**
 * Version files whose request the builder image cannot meet. They must stay out of the build.
 * Otherwise mise reads them there and in the machine, and looks for a version that is not
 * installed.
 */
export function unmetVersionFiles(draft: Draft): string[] {
  return Object.entries(versionFiles)
    .filter(
      ([file, tool]) => draft.files.has(file) && !allows(versionIn(draft, file), bakedTools[tool]),
    )
    .map(([file]) => file)
}

const isNeeded = (draft: Draft): boolean => draft.tools.size > 0 || foundFiles(draft).length > 0

function foundFiles(draft: Draft): string[] {
  const unmet = unmetVersionFiles(draft)
  return [...configFiles, ...Object.keys(versionFiles)].filter(
    (file) => draft.files.has(file) && !unmet.includes(file),
  )
}

function miseToml(draft: Draft, tools: { name: string; resolvedVersion: string }[]): string {
  const sections: Record<string, Record<string, boolean>> = { ...draft.miseSettings }
  sections['node'] = { ...sections['node'], verify: false }
  return [
    '[tools]',
    ...tools.map((tool) => `  ${tool.name} = "${tool.resolvedVersion}"`),
    '',
    '[settings]',
    `  idiomatic_version_file_enable_tools = [${idiomatic.map((tool) => `"${tool}"`).join(', ')}]`,
    '  minimum_release_age = "14d"',
    '  paranoid = true',
    '  trusted_config_paths = ["/app"]',
    ...Object.keys(sections)
      .toSorted()
      .flatMap((name) => [`  [settings.${name}]`].concat(settingLines(sections[name] ?? {}))),
    '',
  ].join('\n')
}

const settingLines = (settings: Record<string, boolean>): string[] =>
  Object.entries(settings).map(([key, value]) => `    ${key} = ${value}`)
