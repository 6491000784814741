import { Problem } from '#api/problem.ts'
import {
  type ChangedNames,
  checkRuntimeSecrets,
  type RuntimeSecrets,
  type SecretsAnswer,
} from '#api/runtime/secrets.ts'
import type { SecretVersion } from '#api/release.ts'
import { someOf } from '#api/text/some-of.ts'
import { statusOf } from '#fly/fly-calls.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { Principal } from '../../callers/principal.ts'
import type { Deployer } from '../../deploy/deployer.ts'
import { readDesired } from '../../deploy/config/read-desired.ts'
import type { OwnerTarget } from '../../deployments/owners/owner-app-store.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { StoredRelease } from '../../deployments/release-store.ts'
import { secretDigests } from '../releases.ts'
import { applySecrets } from './apply-secrets.ts'
import { readNewest, readSecrets } from './read-secrets.ts'
import { foreignChanges } from './foreign-changes.ts'
import { releaseAgain, type ReleaseAgainDeps } from './release-again.ts'
import type { RuntimeChange } from './runtime-commands.ts'
import { changesSince, changesText, secretStates } from './secret-states.ts'
import { type SecretPlace, secretPlaceOf } from './secret-place.ts'
import { targetsOn } from './targets.ts'

/** `signal`: ends the calls to Fly while a caller waits. */
export type RuntimeDeps = Omit<ReleaseAgainDeps, 'releases'> & {
  signal: AbortSignal
  fly: MachinesApi
  deployer: Pick<Deployer, 'machineOwners'>
  store: Pick<
    DeploymentStore,
    | 'releases'
    | 'runtimeSecrets'
    | 'appSettings'
    | 'changeAppSettings'
    | 'list'
    | 'find'
    | 'ownerApps'
  >
}
const nothing: ChangedNames = { added: [], changed: [], same: [], removed: [], absent: [] }

/** The secrets of an app on Fly, and which of them its releases lack. */
export async function listSecrets(target: OwnerTarget, deps: RuntimeDeps): Promise<RuntimeSecrets> {
  const place = secretPlaceOf(target, deps.store.ownerApps)
  await appOnFly(place, deps)
  const [{ secrets, own }, { targets }] = await Promise.all([
    readSecrets(place.flyApp, deps, deps.signal),
    targetsOn(place, deps),
  ])
  const releases = targets.map((release) => release.secrets)
  return {
    app: place.app,
    owner: place.owner,
    secrets: secretStates(secrets, releases, own),
    targets: targets.map(({ owner, number }) => ({ owner, release: number })),
    warnings: targets.flatMap((release) => foreignChanges(release, secrets, own)),
  }
}

/** Sets and removes secrets in Fly's store. With `deploy`, makes new releases that have them. */
export async function changeSecrets(
  caller: Principal,
  target: OwnerTarget,
  { values, deploy }: RuntimeChange,
  deps: RuntimeDeps,
): Promise<SecretsAnswer> {
  checkRuntimeSecrets(values)
  const place = secretPlaceOf(target, deps.store.ownerApps)
  const { app, owner, flyApp } = place
  const flyId = await appOnFly(place, deps)
  const { before, now } = await applySecrets({ app: flyApp, flyId, values }, deps, deps.signal)

  const changed = namesOf(values, secretDigests(before), secretDigests(now))
  const again = deploy ? await releaseStaged(caller, place, now, deps) : staged(place)
  return { app, owner, ...changed, ...again }
}

/** Makes new releases of the targets whose newest release lacks a change. */
export async function deploySecrets(
  caller: Principal,
  target: OwnerTarget,
  deps: RuntimeDeps,
): Promise<SecretsAnswer> {
  const place = secretPlaceOf(target, deps.store.ownerApps)
  const { app, owner, flyApp } = place
  await appOnFly(place, deps)
  // Another tool may have made a newer version than the gateway knows.
  const { secrets } = await readNewest(flyApp, deps, deps.signal)
  return { app, owner, ...nothing, ...(await releaseStaged(caller, place, secrets, deps)) }
}

const staged = ({ words }: SecretPlace) => ({
  deployments: [],
  refused: [],
  notes: [
    `Staged: machines get it with the next deployment, or now with: tarmac secrets deploy ${words}`,
  ],
})

async function releaseStaged(
  caller: Principal,
  place: SecretPlace,
  secrets: SecretVersion[],
  deps: RuntimeDeps,
) {
  const { releases } = deps.store
  const found = await targetsOn(place, deps)
  const { targets, others, mounted } = found
  const lacking = targets.filter(
    (release) => !release.secrets || changesSince(release.secrets, secrets, {}).length > 0,
  )
  const optionsOf = (release: StoredRelease) => ({
    trigger: 'secrets',
    message: messageOf(release, secrets),
    ...(isCanaryPossible(release, mounted) && { strategy: 'canary' as const }),
  })
  const again = await releaseAgain(caller, { targets: lacking, optionsOf }, { ...deps, releases })
  return { ...again, notes: notesOf(place, { targets, lacking, others }) }
}

/**
 * Fly gives a machine that is rolled back the new values too, because it keeps no old ones. An extra
 * machine tries them first, where the app's own machines would be the first to have them.
 */
function isCanaryPossible({ desired, owner }: StoredRelease, mounted: Set<string | null>): boolean {
  const { strategy, groups } = readDesired(desired)
  const mounts = groups.some(({ config }) => config.mounts?.length) || mounted.has(owner)
  return strategy === 'rolling' && !mounts
}

function messageOf({ secrets }: StoredRelease, now: SecretVersion[]): string {
  const changes = changesSince(secrets ?? [], now, {})
  return `secrets: ${changesText(changes)}`.slice(0, 1000)
}

function notesOf(
  { flyApp, words }: SecretPlace,
  {
    targets,
    lacking,
    others,
  }: { targets: StoredRelease[]; lacking: StoredRelease[]; others: number },
): string[] {
  const machines = others === 1 ? '1 machine' : `${others} machines`
  if (targets.length === 0 && others === 0)
    return [`${flyApp} has no machines: its first deployment gets the secrets.`]
  if (others > 0)
    return [
      `${machines} of ${flyApp} were not deployed by this gateway, and keep what they have until they are: tarmac deploy ${words}, or fly secrets deploy --app ${flyApp}`,
    ]
  if (lacking.length === 0) {
    const numbers = targets.map(({ number }) => `${number}`)
    return [
      `Nothing to deploy: release ${someOf(numbers, 5)} of ${flyApp} has these secrets already.`,
    ]
  }
  return targets.length > 1
    ? [
        `Fly keeps secrets per app: ${lacking.length} of the ${targets.length} targets of ${flyApp} (its owners) lack the change.`,
      ]
    : []
}

/** What the change was, by name. */
export function namesOf(
  values: ReadonlyMap<string, unknown>,
  before: Record<string, string>,
  after: Record<string, string>,
): ChangedNames {
  const names: ChangedNames = { added: [], changed: [], same: [], removed: [], absent: [] }
  for (const [name, value] of values) {
    const existed = Object.hasOwn(before, name)
    if (value === null) names[existed ? 'removed' : 'absent'].push(name)
    else if (!existed) names.added.push(name)
    else names[before[name] === after[name] ? 'same' : 'changed'].push(name)
  }
  return names
}

/** Fly's id of the app. Throws `app-not-found`, also for an app of another organisation. */
async function appOnFly(
  { app, owner, flyApp }: SecretPlace,
  { fly, signal }: RuntimeDeps,
): Promise<string | null> {
  const found = await fly.app(flyApp, signal).catch((error: unknown) => {
    if (statusOf(error) === 403) return null
    throw error
  })
  if (found) return found.id ?? null
  const make =
    owner === null
      ? `To make it first: tarmac deploy ${app} --no-deploy`
      : `The first deployment of the owner makes it: tarmac deploy ${app} --owner ${owner}`
  const detail = `Fly has no app ${flyApp} in reach, and its secrets are kept by Fly. ${make}`
  throw new Problem('app-not-found', detail, { facts: { app: flyApp } })
}
