import { randomBytes } from 'node:crypto'
import { poll } from '#api/flow/retry.ts'
import { Problem } from '#api/problem.ts'
import type { FlySecret } from '#fly/answers.ts'
import { statusOf } from '#fly/fly-calls.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type {
  RuntimeSecretStore,
  SecretMark,
} from '../../deployments/runtime/runtime-secret-store.ts'

export type SecretDeps = {
  fly: Pick<MachinesApi, 'app' | 'secrets' | 'changeSecrets'>
  store: { runtimeSecrets: RuntimeSecretStore }
}
/** The app's secrets on Fly. `own`: see `SecretMark`. `version` 0: no version is known. */
export type KnownSecrets = { secrets: FlySecret[]; version: number; own: SecretMark['own'] }

/** How long Fly may take until all its parts have a new version. */
const visible = { everyMs: 500, forMs: 10_000 }

/**
 * Reads the app's secrets, never older than the last change that the gateway knows. If the gateway
 * died during a change, it first finds out what came of it. Throws `fly-unavailable` while Fly does
 * not have that version yet.
 */
export async function readSecrets(
  app: string,
  deps: SecretDeps,
  signal: AbortSignal,
): Promise<KnownSecrets> {
  const mark = await deps.store.runtimeSecrets.find(app)
  if (!mark) return { secrets: await deps.fly.secrets(app, signal), version: 0, own: {} }
  if (openNames(mark).length > 0) return readNewest(app, deps, signal)
  const known = { version: mark.version, own: mark.own }
  const atOnce = await orTooOld(deps.fly.secrets(app, signal, mark.version))
  if (atOnce) return { secrets: atOnce, ...known }

  const found = await deps.fly.app(app, signal)
  if (mark.flyId === null || found?.id === mark.flyId) {
    const secrets = await atLeast(app, mark.version, deps, signal)
    if (!secrets) throw notYet(app, mark.version)
    return { secrets, ...known }
  }
  // Another app of that name: what is known of the versions is of no use.
  const other = { flyId: found?.id ?? null, version: 0, own: {} }
  await deps.store.runtimeSecrets.reset(app, other)
  return { secrets: await deps.fly.secrets(app, signal), version: 0, own: {} }
}

/** Reads the secrets of this version, or a newer one. Null: Fly does not have it yet. */
function atLeast(
  app: string,
  version: number,
  { fly }: Pick<SecretDeps, 'fly'>,
  signal: AbortSignal,
): Promise<FlySecret[] | null> {
  return poll(() => orTooOld(fly.secrets(app, signal, version)), visible, signal)
}

/** Null: Fly does not have the version that was asked for. */
const orTooOld = (secrets: Promise<FlySecret[]>): Promise<FlySecret[] | null> =>
  secrets.catch((error: unknown) => {
    if (statusOf(error) === 412) return null
    throw error
  })

/**
 * Reads the secrets of Fly's newest version, whoever made it, and records what came of changes whose
 * answer the gateway has not seen. Fly gives its version only after a change, so this removes a
 * secret that nobody has, as `fly secrets sync` does (`internal/appsecrets`).
 */
export async function readNewest(
  app: string,
  deps: SecretDeps,
  signal: AbortSignal,
): Promise<KnownSecrets> {
  const nobodys = `TARMAC_ASKS_FOR_THE_VERSION_${randomBytes(8).toString('hex')}`
  const { version } = await deps.fly.changeSecrets(app, new Map([[nobodys, null]]), signal)
  const secrets = await atLeast(app, version, deps, signal)
  if (!secrets) throw notYet(app, version)

  const mark = await deps.store.runtimeSecrets.find(app)
  const own = mark ? digestsOf(openNames(mark), secrets) : {}
  await deps.store.runtimeSecrets.note(app, { flyId: null, version, own })
  return { secrets, version, own: { ...mark?.own, ...own } }
}

export const digestsOf = (names: Iterable<string>, secrets: FlySecret[]): SecretMark['own'] =>
  Object.fromEntries(
    Array.from(names, (name) => [name, secrets.find((one) => one.name === name)?.digest ?? null]),
  )

const openNames = ({ own }: SecretMark): string[] =>
  Object.entries(own).flatMap(([name, digest]) => (digest === '' ? [name] : []))

const notYet = (app: string, version: number): Problem =>
  new Problem(
    'fly-unavailable',
    `Fly does not show version ${version} of the secrets of ${app} yet. Machines would start with older ones. Try again later.`,
    { facts: { version } },
  )
