import { z } from 'zod'
import { OwnerName } from './app.ts'
import { arePlatforms, webAddress } from './options/labels.ts'
import { strategies } from './options/strategy.ts'
import { unknownOption } from './options/unknown-option.ts'
import { optionInvalid, refuseUnusable, variableName, variables } from './options/variables.ts'

/**
 * How a new deployment and the others of its lane (app and owner) affect each other. `latest`
 * supersedes the waiting ones. `cancel-running` also supersedes the running one, until it touches
 * machines. `fifo` supersedes none. `reject` refuses the new one unless the lane is empty.
 */
export const lanePolicies = ['latest', 'cancel-running', 'fifo', 'reject'] as const
const countRule = 'expected a whole number from 1 to 100'
const words = z.string().max(1000).nullable().default(null)

/** The options of a deployment. In a request they are query parameters (see `readOptions`). */
export const DeploymentOptions = z.object({
  owner: OwnerName.nullable()
    .default(null)
    .describe('only the machines of this owner in the app, with their own queue and releases'),
  lane: z
    .enum(lanePolicies)
    .nullable()
    .default(null)
    .describe(`how it and the others of its lane affect each other: ${lanePolicies.join(', ')}`),
  deploy: z.boolean().default(true).describe('false: build and push, touch no machine'),
  rebuild: z.boolean().default(false).describe('run every step again, even if it is cached'),
  env: variables
    .default({})
    .describe('`env.NAME=…`: environment of the machines; never a secret, the URL shows it'),
  build: variables
    .default({})
    .describe(
      '`build.NAME=…`: variables of the build (`--env` of railpack, build args of a Dockerfile)',
    ),
  region: z
    .string()
    .regex(/^[a-z0-9]{2,16}$/, 'a region is a short code like fra')
    .nullable()
    .default(null)
    .describe('Fly region of new machines; none: of fly.toml, else of the gateway'),
  count: z
    .union(
      [z.null(), z.coerce.number().int(countRule).min(1, countRule).max(100, countRule)],
      countRule,
    )
    .default(null)
    .describe('machines of a process group that has none, 1 to 100; none: mostly 1'),
  config: words.describe(
    'path in the source of the config file, instead of `fly.toml`, `fly.json` or `fly.yaml`',
  ),
  dockerfile: words.describe('path in the source of the Dockerfile to use'),
  plan: words.describe('path in the source of a finished railpack plan'),
  target: words.describe('the stage of the Dockerfile to build; none: its last one'),
  platform: z
    .string()
    .refine(arePlatforms, 'platforms are like linux/amd64,linux/arm64, at most 8')
    .nullable()
    .default(null)
    .describe(
      'as in `linux/amd64,linux/arm64`: one image per platform, under one name; none: the gateway’s',
    ),
  tag: z
    .array(
      z.string().regex(/^\w[\w.-]{0,127}$/, 'a tag has letters, digits, _, . and -; at most 128'),
    )
    .max(10, 'at most 10 tags')
    .default([])
    .describe('repeatable: more tags for the image, such as `latest` or a branch'),
  strategy: z
    .enum(strategies)
    .nullable()
    .default(null)
    .describe('`rolling`, `canary`, `bluegreen` or `immediate`; none: of fly.toml, else `rolling`'),
  'force-over': z
    .string()
    .regex(/^[1-9]\d{0,8}$/, 'force-over is the number of a deployment')
    .nullable()
    .default(null)
    .describe(
      'deploy even if this deployment, or an older one that the record does not know, is on the machines',
    ),
  ha: z
    .boolean()
    .default(false)
    .describe(
      'a process group without machines gets two, or one and a standby if it has no services',
    ),
  'new-volumes': z
    .boolean()
    .default(false)
    .describe(
      'give a new machine a new, empty volume even if one of that name is in another region or of another group',
    ),
  network: z
    .string()
    .regex(
      /^[A-Za-z][A-Za-z0-9-]{0,62}$/,
      'a network is named by letters, digits and dashes, beginning with a letter',
    )
    .nullable()
    .default(null)
    .describe(
      'the private network of the app, if this deployment makes the app; none: of the gateway',
    ),
  commit: z
    .string()
    .regex(/^\w[\w.-]{0,127}$/, 'a commit is its hash')
    .nullable()
    .default(null)
    .describe('the commit of the source; becomes a tag of the image'),
  branch: words.describe('the branch of the source, for the record'),
  message: words.describe('what this deployment is for, for the record'),
  author: words.describe('who made the change, for the record'),
  trigger: words.describe('what started it: `cli`, `ci`, `push`, or the name of a service'),
  'ci-run': webAddress
    .nullable()
    .default(null)
    .describe('the page of the CI run that asks for it, for the record'),
})
export type DeploymentOptions = z.infer<typeof DeploymentOptions>

const yesNo = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
])
const maps = ['env', 'build'] as const
const lists = ['tag'] as const
const flags = ['deploy', 'rebuild', 'ha', 'new-volumes'] as const
const texts = [
  'owner',
  'lane',
  'region',
  'count',
  'config',
  'dockerfile',
  'plan',
  'target',
  'platform',
  'strategy',
  'force-over',
  'network',
  'commit',
  'branch',
  'message',
  'author',
  'trigger',
  'ci-run',
] as const satisfies readonly (keyof DeploymentOptions)[]

type Found = Record<string, unknown> &
  Record<(typeof maps)[number], Record<string, string>> &
  Record<(typeof lists)[number], string[]>

/**
 * Reads options from a query or a form. Each has one value, except lists; an empty text is no
 * value. `answerFlags` are the flags about the response (`wait`, `follow`) that this route also
 * accepts. Their values are returned in `answer`.
 */
export function readOptions<Flag extends string = never>(
  query: Iterable<[string, string]>,
  answerFlags: readonly Flag[] = [],
): { options: DeploymentOptions; answer: Partial<Record<Flag, boolean>> } {
  const found: Found = { env: {}, build: {}, tag: [] }
  const answer: Partial<Record<Flag, boolean>> = {}
  const seen = new Set<string>()

  for (const [name, value] of query) {
    if (name.startsWith('secret.')) throw optionInvalid(name.slice(0, 50), secretHint)
    if (seen.has(name) && !isOneOf(lists, name))
      throw optionInvalid(name, 'is given twice; give it once')
    seen.add(name)

    const [map, key] = inMap(name)
    if (map) found[map][key] = value
    else if (isOneOf(flags, name)) found[name] = flag(name, value)
    else if (isOneOf(answerFlags, name)) answer[name] = flag(name, value)
    else if (isOneOf(texts, name)) found[name] = value || null
    else if (isOneOf(lists, name)) found[name].push(value)
    else
      throw unknownOption(name, [
        ...flags,
        ...texts,
        ...lists,
        ...maps.map((map) => `${map}.NAME`),
        ...answerFlags,
      ])
  }

  return { options: checked(found), answer }
}

/** Reads options from JSON, with the same names. Refuses unknown ones. */
export function parseOptions(found: Record<string, unknown>): DeploymentOptions {
  const known = Object.keys(DeploymentOptions.shape)
  const stray = Object.keys(found).find((name) => !known.includes(name))
  if (stray !== undefined) throw unknownOption(stray, known)
  // The name check skips this key, and the value would be lost.
  for (const map of maps)
    if (Object.hasOwn(Object(found[map]), '__proto__'))
      throw optionInvalid(`${map}.__proto__`, 'is not the name of a variable')
  return checked(found)
}

function checked(found: Record<string, unknown>): DeploymentOptions {
  for (const [name, value] of Object.entries(found)) refuseUnusable(name, value)
  const parsed = DeploymentOptions.safeParse(found)
  if (parsed.success) return parsed.data
  const { path, message } = parsed.error.issues[0]!
  throw optionInvalid(path.join('.'), `is invalid: ${message}`)
}

/** Writes options as a query that `readOptions` can read. */
export function writeOptions(options: Partial<DeploymentOptions>): URLSearchParams {
  const query = new URLSearchParams()
  for (const name of [...flags, ...texts])
    if (options[name] != null) query.set(name, String(options[name]))
  for (const name of lists) for (const value of options[name] ?? []) query.append(name, value)
  for (const map of maps)
    for (const [key, value] of Object.entries(options[map] ?? {})) query.set(`${map}.${key}`, value)
  return query
}

const secretHint =
  'is a secret, which must not be in a URL: send it as a field of a form, or keep it with the app: tarmac secrets set APP --build NAME (PUT /v1/apps/{app}/secrets/{name})'
const isOneOf = <T extends string>(names: readonly T[], name: string): name is T =>
  names.some((each) => each === name)

/** `env.NAME` → `['env', 'NAME']`. */
function inMap(name: string): [(typeof maps)[number], string] | [null, ''] {
  const map = maps.find((map) => name.startsWith(`${map}.`))
  if (!map) return [null, '']
  const key = name.slice(map.length + 1)
  if (!variableName.test(key))
    throw optionInvalid(
      name,
      `needs a variable's name after the dot: letters, digits and _, not beginning with a digit`,
    )
  return [map, key]
}

function flag(name: string, value: string): boolean {
  const isOn = yesNo.get(value)
  if (isOn !== undefined) return isOn
  throw optionInvalid(name, `is invalid: expected true or false, got “${value.slice(0, 50)}”`)
}
