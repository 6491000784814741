import { randomBytes } from 'node:crypto'
import { Problem } from '#api/problem.ts'
import { retry } from '#api/flow/retry.ts'
import type { App } from '#fly/answers.ts'
import { isUnavailable, pauseMs, statusOf } from '#fly/fly-calls.ts'
import { configOf } from '#fly/machine.ts'
import type { FlyParts } from '../fly-parts.ts'
import { roleKey } from './machine-config.ts'
import { secretNames } from './plan.ts'

export type AppChoice = { org: string; app: string | null; network: string | null }

const defaultNetwork = 'default'
const suffixBytes = 3
const nameAttempts = 5
const createAttempts = 4

const networkOf = ({ network }: App): string => network || defaultNetwork

/** The name that a builder gets if it is free: names on Fly are global. */
export const nameFor = ({ org, network }: Omit<AppChoice, 'app'>): string =>
  ['tarmac', org, ...(network && network !== defaultNetwork ? [network] : [])]
    .join('-')
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-')
    .slice(0, 50)

/** The app of the builder of an organisation and network, or the named one. Null: there is none. */
export async function findApp(fly: FlyParts, choice: AppChoice): Promise<App | null> {
  if (choice.app) return findNamed(fly, { ...choice, app: choice.app })

  const { org, network } = choice
  const base = nameFor(choice)
  const isOurs = (name: string) => name === base || isSuffixed(name, base)
  const candidates = (await fly.builder.apps(org, fly.signal))
    .filter((app) => isOurs(app.name) && networkOf(app) === (network ?? defaultNetwork))
    .toSorted((a, b) => a.name.length - b.name.length || a.name.localeCompare(b.name))
  for (const app of candidates) if ((await ownerOf(fly, app.name)) !== 'other') return app
  return null
}

/** Whether the name is `base` with the suffix of `up`. */
const isSuffixed = (name: string, base: string): boolean =>
  name.length === base.length + 1 + suffixBytes * 2 &&
  name.startsWith(`${base}-`) &&
  /^[\da-f]+$/.test(name.slice(base.length + 1))

async function findNamed(
  fly: FlyParts,
  { app: name, org, network }: AppChoice & { app: string },
): Promise<App | null> {
  const app = await own(fly, name, org)
  if (app === 'other') throw taken(name)
  if (!app) return null
  if (network && networkOf(app) !== network)
    throw new Problem(
      'option-invalid',
      `The app ${name} is on the network ${networkOf(app)}, and an app cannot change its network. Leave out --network, or name another app.`,
    )
  if ((await ownerOf(fly, name)) === 'other')
    throw new Problem(
      'option-invalid',
      `The app ${name} is no builder: it has machines or secrets that tarmac up did not make. Name another app, or none.`,
    )
  return app
}

/** Whose an app is, by its secrets and the marks of its machines. `empty`: it has nothing yet. */
async function ownerOf(fly: FlyParts, app: string): Promise<'builder' | 'empty' | 'other'> {
  const [secrets, machines] = await Promise.all([
    fly.machines.secrets(app, fly.signal),
    fly.machines.machines(app, fly.signal),
  ])
  const isKnown =
    secrets.some(({ name }) => secretNames.some((each) => each === name)) ||
    machines.some((machine) => configOf(machine).metadata?.[roleKey])
  if (isKnown) return 'builder'
  return secrets.length + machines.length === 0 ? 'empty' : 'other'
}

/** Makes the app, under a name that is free. Never makes two if an answer is lost. */
export async function createApp(fly: FlyParts, choice: AppChoice): Promise<App> {
  const { org, network } = choice
  const first = choice.app ?? nameFor(choice)
  let name = first
  for (let attempt = 1; ; attempt++) {
    const made = await createNamed(fly, { name, org, network })
    if (made !== 'other') return made
    if (choice.app || attempt === nameAttempts) throw taken(name)
    fly.report(`the name ${name} is taken by another organisation on Fly`)
    name = `${first}-${randomBytes(suffixBytes).toString('hex')}`
  }
}

/** `other`: another organisation has the name. */
function createNamed(
  fly: FlyParts,
  app: { name: string; org: string; network: string | null },
): Promise<App | 'other'> {
  const create = async () => {
    try {
      await fly.machines.createApp(app, fly.signal)
    } catch (error) {
      // The name may be taken by the request whose answer was lost.
      if (!isUnavailable(error) && !isTaken(error)) throw error
      const there = await own(fly, app.name, app.org)
      if (!there && isTaken(error)) return 'other'
      if (!there) throw error
      return there
    }
    return { name: app.name, network: app.network ?? defaultNetwork }
  }
  const policy = {
    isRetryable: isUnavailable,
    pauseMs: (attempt: number) => (attempt > createAttempts ? null : pauseMs(attempt)),
  }
  return retry(create, policy, fly.signal)
}

/** The app, if it is of this organisation. */
async function own(fly: FlyParts, name: string, org: string): Promise<App | null | 'other'> {
  try {
    const app = await fly.machines.app(name, fly.signal)
    const slug = app?.organization?.slug
    return slug && slug !== org ? 'other' : app
  } catch (error) {
    if (statusOf(error) === 403) return 'other'
    throw error
  }
}

/** Fly's code for it is newer than its words (fly.md 2.1). */
const isTaken = (error: unknown): boolean =>
  error instanceof Problem && /taken/i.test(String(error.facts['fly']))

const taken = (name: string): Problem =>
  new Problem(
    'app-name-taken',
    `The app name ${name} belongs to another organisation: names on Fly are global. Choose another with --app, or leave --app out.`,
  )
