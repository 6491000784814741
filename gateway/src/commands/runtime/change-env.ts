import { optionInvalid, variableName } from '#api/options/variables.ts'
import { Problem } from '#api/problem.ts'
import type { EnvAnswer, EnvEntry, EnvList } from '#api/runtime/env.ts'
import { someOf } from '#api/text/some-of.ts'
import type { Principal } from '../../callers/principal.ts'
import { readDesired } from '../../deploy/config/read-desired.ts'
import type { StoredRelease } from '../../deployments/release-store.ts'
import { Redactor } from '../../secrets/redaction/redactor.ts'
import { type RuntimeDeps, namesOf } from './change-secrets.ts'
import { releaseAgain } from './release-again.ts'
import type { RuntimeChange } from './runtime-commands.ts'
import { targetsOf } from './targets.ts'

type Env = Record<string, string>

/** The variables of an app's machines, each with its origin, and those that the next deployment adds. */
export async function listEnv(app: string, deps: RuntimeDeps): Promise<EnvList> {
  const [{ env: own = {} }, { targets }] = await Promise.all([
    deps.store.appSettings(app),
    targetsOf(app, deps),
  ])
  const running: EnvEntry[] = []
  for (const release of targets) {
    const made = await deps.store.find(release.deployment)
    running.push(...entriesOf(release, { own, given: made?.options.env ?? {} }))
  }
  return { app, env: [...running, ...nextEntries(own, targets)].map(hide).toSorted(byName) }
}

/** What one release runs. `given`: the options of the deployment that made it. */
export function entriesOf(
  { owner, number, desired }: StoredRelease,
  { own, given }: { own: Env; given: Env },
): EnvEntry[] {
  const groups = readDesired(desired).groups.map(({ name, config }) => ({
    name,
    // Fly's own, and the gateway's marks for it.
    env: Object.fromEntries(
      Object.entries(config.env ?? {}).filter(([key]) => !key.startsWith('FLY_')),
    ),
  }))
  const names = new Set(groups.flatMap(({ env }) => Object.keys(env)))
  return [...names].flatMap((name) => {
    const having = groups.filter(({ env }) => Object.hasOwn(env, name))
    const values = new Set(having.map(({ env }) => env[name]!))
    const isOfAll = values.size === 1 && having.length === groups.length
    return (isOfAll ? having.slice(0, 1) : having).map((group): EnvEntry => {
      const value = group.env[name]!
      const from =
        own[name] === value ? 'settings' : given[name] === value ? 'deployment' : 'source'
      const where = { owner, group: isOfAll ? null : group.name, release: number }
      return { name, value, hidden: false, from, state: 'running', ...where }
    })
  })
}

/** The app's settings that a target's newest release lacks: they count from the next deployment. */
export const nextEntries = (own: Env, targets: StoredRelease[]): EnvEntry[] =>
  Object.entries(own).flatMap(([name, value]): EnvEntry[] => {
    const isEverywhere = targets.every((release) => hasEnv(release, name, value))
    if (isEverywhere && targets.length > 0) return []
    const where = { owner: null, group: null, release: null }
    return [{ name, value, hidden: false, from: 'settings', state: 'next', ...where }]
  })

/** Changes variables of the app's settings. With `deploy`, makes new releases that have them. */
export async function changeEnv(
  caller: Principal,
  app: string,
  { values, deploy }: RuntimeChange,
  deps: RuntimeDeps,
): Promise<EnvAnswer> {
  if (values.size === 0) throw new Problem('option-invalid', 'The change names no variable.')
  const wrong = [...values.keys()].find((name) => !variableName.test(name))
  if (wrong !== undefined)
    throw optionInvalid(
      `env.${wrong.slice(0, 100)}`,
      'needs a variable’s name: letters, digits and _, at most 128, not beginning with a digit',
    )
  const reserved = [...values].find(([name, value]) => value !== null && name.startsWith('FLY_'))
  // Source: fly.md 6.2. Fly sets these itself.
  if (reserved)
    throw optionInvalid(
      `env.${reserved[0].slice(0, 100)}`,
      'begins with FLY_, which is for Fly alone',
    )

  const before = (await deps.store.appSettings(app)).env ?? {}
  await deps.store.changeAppSettings(app, { env: Object.fromEntries(values) })
  const set = [...values].flatMap(([name, value]) =>
    value === null ? [] : [[name, value] as const],
  )
  const names = namesOf(values, before, { ...before, ...Object.fromEntries(set) })
  const warnings = set.flatMap(([name, value]) =>
    looksSecret(value) ? [secretText(app, name)] : [],
  )
  const isNoChange = names.absent.length === values.size
  const next = 'It counts from the next deployment.'
  const again = deploy
    ? await releaseWith(caller, app, { values, set: Object.fromEntries(set) }, deps)
    : { deployments: [], refused: [], notes: isNoChange ? [] : [next] }
  return { app, ...names, ...again, warnings }
}

async function releaseWith(
  caller: Principal,
  app: string,
  { values, set }: { values: RuntimeChange['values']; set: Env },
  deps: RuntimeDeps,
) {
  const { releases } = deps.store
  const { targets } = await targetsOf(app, deps)
  const lacks = (release: StoredRelease) =>
    [...values].some(([name, value]) => !hasEnv(release, name, value))
  const lacking = targets.filter(lacks)
  const withoutEnv = [...values].flatMap(([name, value]) => (value === null ? [name] : []))
  const message = `env: ${someOf([...values.keys()], 20)}`.slice(0, 1000)
  const again = await releaseAgain(
    caller,
    { targets: lacking, optionsOf: () => ({ env: set, trigger: 'env', message }), withoutEnv },
    { ...deps, releases },
  )
  const notes =
    targets.length === 0
      ? [`${app} runs no release of this gateway: its next deployment gets the variables.`]
      : lacking.length === 0
        ? [`Nothing to deploy: ${app} runs with these variables already.`]
        : []
  return { ...again, notes }
}

/** Whether each group of a release has this value; null: whether none has the variable. */
function hasEnv({ desired }: StoredRelease, name: string, value: string | null): boolean {
  return readDesired(desired).groups.every(({ config }) => (config.env?.[name] ?? null) === value)
}

const redactor = new Redactor([])
const looksSecret = (value: string): boolean => redactor.redact(value) !== value

/** Variables are not secret. A value that looks like a token or has a password is hidden anyway. */
function hide(entry: EnvEntry): EnvEntry {
  const value = redactor.redact(entry.value)
  return value === entry.value ? entry : { ...entry, value, hidden: true }
}

const secretText = (app: string, name: string): string =>
  `The value of ${name} looks like a secret, and variables are not secret: records, releases and the settings show them. Better: tarmac env unset ${app} ${name}, then tarmac secrets set ${app} ${name}`

const byName = (a: EnvEntry, b: EnvEntry): number =>
  a.name === b.name ? 0 : a.name < b.name ? -1 : 1
