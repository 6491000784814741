import { userInfo } from 'node:os'
import { NewPreview } from '#api/previews/preview.ts'
import { execLimits, PreviewAction } from '#api/previews/preview-calls.ts'
import { readPreviewQuery } from '#api/previews/preview-query.ts'
import { Problem } from '#api/problem.ts'
import type { Values } from '../flags.ts'
import { assignment } from '../deploy/read-deploy.ts'
import { type FolderOptions, readFolderOptions } from '../deploy/read-folder-options.ts'
import { appName, asOptions, wrongUse } from '../option.ts'

/** `folder` null: the preview is of what `asked.source` names. `secrets`: as given, not read yet. */
export type CreateRequest = FolderOptions & {
  verb: 'create'
  asked: NewPreview
  folder: string | null
  secrets: string[]
  file: string | null
  detach: boolean
}
export type PreviewRequest =
  | CreateRequest
  | { verb: 'ls' | 'stats'; query: URLSearchParams }
  | { verb: 'show'; id: string; log: boolean }
  | { verb: 'extend'; id: string; ttlSeconds: number | null }
  | { verb: 'destroy'; ids: string[]; detach: boolean }
  | { verb: PreviewAction; ids: string[] }
  | { verb: 'logs'; id: string; lines: number; follow: boolean }
  | { verb: 'exec'; id: string; command: string[]; timeoutSeconds: number }
  | { verb: 'watch'; app: string | null }

type Verb = PreviewRequest['verb']
type Option = keyof Values

const filters = ['owner', 'state', 'limit', 'cursor'] as const
const asQuery = ['region', 'config', 'dockerfile', 'plan', 'target', 'template', 'evict'] as const
const ofFolder = [
  'dockerfile',
  'config',
  'plan',
  'target',
  'build',
  'include',
  'no-ignore',
  'root',
  'compress',
  'dry-run',
] as const
const sources = ['image', 'release', 'deployment'] as const

/** Which options each verb has. */
const optionsOf: Record<Verb, readonly Option[]> = {
  create: [...sources, ...asQuery, ...ofFolder, 'owner', 'ttl', 'env', 'secret', 'file', 'detach'],
  ls: filters,
  show: ['log'],
  extend: ['ttl'],
  destroy: ['detach'],
  stop: [],
  start: [],
  suspend: [],
  logs: ['follow', 'lines'],
  exec: ['timeout'],
  watch: [],
  stats: ['owner'],
}
const all = new Set(Object.values(optionsOf).flat())
const isVerb = (word: string): word is Verb => Object.hasOwn(optionsOf, word)

/** Reads `tarmac preview …`. Null: it is used in another way. Throws a Problem with exit code 2. */
export function readPreviewArgs(
  args: string[],
  values: Values,
  env: NodeJS.ProcessEnv,
): PreviewRequest | null {
  const first = args[0] === 'list' ? 'ls' : args[0] // other commands say list: no folder is sent for it
  if (first === undefined) return null
  const verb = isVerb(first) ? first : 'create'
  const rest = isVerb(first) ? args.slice(1) : args
  const isGiven = (name: Option) => values[name] !== undefined && values[name] !== false
  const wrong = [...all].find((name) => isGiven(name) && !optionsOf[verb].includes(name))
  if (wrong)
    throw wrongUse(
      `--${wrong} is not an option of tarmac preview ${verb}. See tarmac preview --help.`,
    )
  return verb === 'create' ? readCreate(rest, values, env) : readVerb(verb, rest, values)
}

function readVerb(
  verb: Exclude<Verb, 'create'>,
  args: string[],
  values: Values,
): PreviewRequest | null {
  const [first, ...more] = args
  const action = PreviewAction.safeParse(verb).data
  if (verb === 'ls' || verb === 'stats')
    return more.length > 0 ? null : { verb, query: filterOf(verb, first, values) }
  if (verb === 'watch')
    return more.length > 0 ? null : { verb, app: first === undefined ? null : appName(first) }
  if (first === undefined) return null
  if (verb === 'destroy') return { verb, ids: args, detach: values.detach }
  if (action) return { verb: action, ids: args }
  if (verb === 'exec') {
    if (more.length === 0) return null
    const timeoutSeconds = secondsOf('timeout', values.timeout ?? '60s', execLimits.seconds)
    return { verb, id: first, command: more, timeoutSeconds }
  }
  if (more.length > 0) return null
  if (verb === 'logs')
    return { verb, id: first, lines: linesOf(values.lines ?? '100'), follow: values.follow }
  if (verb === 'show') return { verb, id: first, log: values.log }
  const { ttl } = values
  return {
    verb: 'extend',
    id: first,
    ttlSeconds: ttl === undefined ? null : secondsOf('ttl', ttl),
  }
}

function filterOf(verb: 'ls' | 'stats', app: string | undefined, values: Values): URLSearchParams {
  const query = new URLSearchParams(app === undefined ? {} : { app: appName(app) })
  for (const filter of filters) if (values[filter] !== undefined) query.set(filter, values[filter])
  if (verb === 'ls' && !query.has('state')) query.set('state', 'living')
  return query
}

function readCreate(
  [app, folder, ...more]: string[],
  values: Values,
  env: NodeJS.ProcessEnv,
): CreateRequest | null {
  if (app === undefined || more.length > 0) return null
  const named = sources.filter((source) => values[source] !== undefined)
  if (named.length > 1) throw wrongUse(`Give one of --${named.join(' and --')}, not several.`)
  const [source] = named
  if (source !== undefined && folder !== undefined)
    throw wrongUse(`Give a folder or --${source}, not both.`)
  const stray = source && ofFolder.find((name) => [values[name]].flat().some(Boolean))
  if (stray) throw wrongUse(`--${stray} is about a folder, and --${source} sends none.`)

  const pairs: [string, string | undefined][] = [
    ['app', appName(app)],
    ['owner', values.owner ?? defaultOwner(env)],
    ...asQuery.map((name): [string, string | undefined] => [name, values[name]]),
    ...(values.env ?? []).map((pair) => assignment('env', pair)),
    ...(values.build ?? []).map((pair) => assignment('build', pair)),
  ]
  if (values.ttl !== undefined) pairs.push(['ttlSeconds', `${secondsOf('ttl', values.ttl)}`])
  const given = pairs.filter((pair): pair is [string, string] => pair[1] !== undefined)
  return {
    verb: 'create',
    asked: { ...asOptions(() => readAsked(given)), ...(source && { source: sourceOf(values) }) },
    folder: source === undefined ? (folder ?? '.') : null,
    ...readFolderOptions(values),
    secrets: values.secret ?? [],
    file: values.file ?? null,
    detach: values.detach,
  }
}

function readAsked(pairs: [string, string][]): NewPreview {
  const read = NewPreview.safeParse(readPreviewQuery(pairs).fields)
  if (read.success) return read.data
  const { path, message } = read.error.issues[0]!
  const option = path.join('.')
  throw new Problem('option-invalid', `The option ${option} is invalid: ${message}.`, {
    facts: { option },
  })
}

function sourceOf({ image, deployment, release = '' }: Values): NewPreview['source'] {
  if (image !== undefined) return { image }
  if (deployment !== undefined) return { deployment }
  if (/^[1-9]\d{0,8}$/.test(release)) return { release: Number(release) }
  throw wrongUse(`--release is the number of a release, not ${release}.`)
}

/** The user's name as an owner has it. */
function defaultOwner(env: NodeJS.ProcessEnv): string {
  const name = env['USER'] || userInfo().username
  const made = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
  const trimmed = made.replace(/^-/, '').replace(/-$/, '')
  if (trimmed.length >= 2) return trimmed
  if (trimmed.length === 1) return `${trimmed}-user`
  throw wrongUse('Say whose the preview is: --owner NAME.')
}

function linesOf(text: string): number {
  const lines = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (lines >= 1 && lines <= 1000) return lines
  throw wrongUse(`--lines is a number from 1 to 1000, not ${text}.`)
}

const units = { s: 1, m: 60, h: 3600 } as const

/** `30m` → 1800 */
function secondsOf(option: string, text: string, most = Infinity): number {
  const [, number = '', unit] = /^(\d{1,6})(s|m|h)$/.exec(text) ?? []
  const seconds = Number(number) * (unit === 's' || unit === 'm' || unit === 'h' ? units[unit] : 0)
  if (seconds > 0 && seconds <= most) return seconds
  const limit = most === Infinity ? '' : ` and at most ${most} s`
  throw wrongUse(`--${option} is a span of at least 1 s${limit}, like 90s, 30m or 2h, not ${text}.`)
}
