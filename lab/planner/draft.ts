import { bakedTools } from '../pins.ts'
import type { SourceFiles } from './source-files.ts'

/** The parts of a plan, in the shape of railpack's plan file. */
export type Layer = {
  step?: string
  image?: string
  local?: true
  spread?: true
  include?: string[]
  exclude?: string[]
}
export type Command =
  | { cmd: string; customName?: string }
  | { path: string }
  | { src: string; dest: string; image?: string }
  | { path: string; name: string; mode?: number; customName?: string }
export type Step = {
  name: string
  inputs: Layer[]
  commands: Command[]
  secrets: string[]
  assets: Record<string, string>
  variables: Record<string, string>
  caches: string[]
}
export type Cache = { directory: string; type: 'shared' | 'locked' }
export type LogLine = {
  Level: 'info' | 'warn' | 'deprecation' | 'suggestion' | 'error'
  Msg: string
  DocsPath: string
}
export type Tool = {
  name: string
  requestedVersion: string
  resolvedVersion: string
  source: string
}

export const builderImage = 'ghcr.io/railwayapp/railpack-builder:mise-2026.8.6'
export const runtimeImage = 'ghcr.io/railwayapp/railpack-runtime:mise-2026.8.6'
export const localLayer: Layer = { local: true, include: ['.'] }
export const aptCaches: Record<string, Cache> = {
  apt: { directory: '/var/cache/apt', type: 'locked' },
  'apt-lists': { directory: '/var/lib/apt/lists', type: 'locked' },
}

/** An unfinished plan, which providers and configuration write to. */
export type Draft = {
  files: SourceFiles
  env: Record<string, string>
  steps: Step[]
  caches: Record<string, Cache>
  secrets: string[]
  exclude: string[]
  buildAptPackages: string[]
  tools: Map<string, Tool>
  miseSettings: Record<string, Record<string, boolean>>
  deploy: {
    base: Layer
    inputs: Layer[]
    startCommand: string
    variables: Record<string, string>
    paths: string[]
    aptPackages: string[]
  }
  metadata: Record<string, string>
  logs: LogLine[]
}

/** The trimmed value of a `RAILPACK_…` variable, or an empty text. */
export const setting = (draft: Draft, name: string): string =>
  (draft.env[`RAILPACK_${name}`] ?? '').trim()
export const isOn = (draft: Draft, name: string): boolean =>
  /^(1|true)$/i.test(setting(draft, name))

export function say(draft: Draft, Level: LogLine['Level'], Msg: string, DocsPath = ''): void {
  draft.logs.push({ Level, Msg, DocsPath })
}

export function addStep(draft: Draft, name: string, parts: Partial<Omit<Step, 'name'>>): Step {
  const step = {
    name,
    inputs: [],
    commands: [],
    secrets: ['*'],
    assets: {},
    variables: {},
    caches: [],
    ...parts,
  }
  draft.steps.push(step)
  return step
}

export function addCache(draft: Draft, name: string, directory: string): string {
  draft.caches[name] = { directory, type: 'shared' }
  return name
}

/**
 * Requests a tool. A tool missing from the builder image is an error, and another version is a
 * warning.
 */
export function useTool(
  draft: Draft,
  name: string,
  wanted: { version: string; source: string },
): void {
  if (name !== 'node' && name !== 'python' && name !== 'go')
    throw new PlanError(`The stand-in builder image holds no ${name}.`)
  const baked = bakedTools[name]
  if (!allows(wanted.version, baked)) {
    const asks = `${wanted.source} asks for ${name} ${wanted.version}`
    say(draft, 'warn', `${asks}; the stand-in builder image holds ${name} ${baked}, which is used.`)
  }
  draft.tools.set(name, {
    name,
    requestedVersion: wanted.version,
    resolvedVersion: baked,
    source: wanted.source,
  })
}

/**
 * Variable names with one of these prefixes. A step that lists them runs again when their values
 * change.
 */
export const secretsWith = (draft: Draft, prefixes: string[]): string[] =>
  prefixes.flatMap((prefix) => Object.keys(draft.env).filter((name) => name.startsWith(prefix)))

/** A planning failure that the source causes. Its message goes into the info file. */
export class PlanError extends Error {}

/**
 * Whether a version is in a range as package.json and version files write it: `22`, `>=20 <23`,
 * `^3.12 || 3.x`, `lts`.
 */
export function allows(range: string, version: string): boolean {
  const has = version.split('.').map(Number)
  return range.split('||').some((alternative) =>
    [...alternative.matchAll(/(>=|<=|>|<|\^|~)?\s*v?(\d[\dx*.]*)/gi)].every(
      ([, operator, text = '']) => {
        const wants = text.split('.').map(Number).slice(0, 3)
        const given = wants.findIndex(Number.isNaN)
        const digits = given < 0 ? wants : wants.slice(0, given)
        const order =
          digits.map((digit, at) => Math.sign((has[at] ?? 0) - digit)).find((sign) => sign !== 0) ??
          0
        if (operator === '>=') return order >= 0
        if (operator === '<=') return order <= 0
        if (operator === '>') return order > 0
        if (operator === '<') return order < 0
        if (operator === '^') return has[0] === digits[0] && order >= 0
        if (operator === '~')
          return has[0] === digits[0] && has[1] === (digits[1] ?? has[1]) && order >= 0
        return order === 0
      },
    ),
  )
}
