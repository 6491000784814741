import type { SecretVersion } from '#api/release.ts'
import { someOf } from '#api/text/some-of.ts'
import { readDesired } from '../../deploy/config/read-desired.ts'
import type { StoredRelease } from '../../deployments/release-store.ts'
import { foreignChanges } from './foreign-changes.ts'

type DesiredApp = ReturnType<typeof readDesired>

const maxShown = 20

/** `now`: on Fly; null: Fly did not say. `words`: see `SecretPlace`. */
type SecretsOfTarget = {
  now: SecretVersion[] | null
  own: Record<string, string | null>
  words: string
}

/**
 * What users should know about the variables and secrets of a new release: those that it lacks of
 * the release before, and secrets that another tool has changed since.
 */
export function keyWarnings(
  before: StoredRelease | null,
  desired: Pick<DesiredApp, 'groups'>,
  { now, own, words }: SecretsOfTarget,
): string[] {
  if (!before) return []
  const { app, owner, number } = before
  const variables = lackingEnv(readDesired(before.desired), desired)
  const secrets = lackingSecrets(before.secrets, now)
  const lacks = (what: string, names: string[], next: string) =>
    names.length === 0
      ? []
      : [
          `This release lacks ${what} that release ${number} had: ${someOf(names, maxShown)}. ${next}`,
        ]
  // The settings of the app are those of all its owners.
  const keep = owner === null ? `tarmac env set ${app} NAME=VALUE` : 'deploy with --env NAME=VALUE'
  return [
    ...lacks('variables', variables, `To keep one: ${keep}`),
    ...lacks('secrets', secrets, `To set one again: tarmac secrets set ${words} NAME`),
    ...(now ? foreignChanges(before, now, own) : []),
  ]
}

/** Variables that a group of the release before has, and the same group lacks now. */
function lackingEnv(before: DesiredApp, desired: Pick<DesiredApp, 'groups'>): string[] {
  const isOnly = before.groups.length === 1
  return before.groups.flatMap(({ name, config }) => {
    const now = desired.groups.find((group) => group.name === name)
    if (!now) return []
    const gone = Object.keys(config.env ?? {}).filter(
      (key) => !Object.hasOwn(now.config.env ?? {}, key),
    )
    return isOnly ? gone : gone.map((key) => `${key} (group ${name})`)
  })
}

const lackingSecrets = (before: SecretVersion[] | null, now: SecretVersion[] | null): string[] => {
  const names = new Set(now?.map(({ name }) => name))
  return before && now ? before.map(({ name }) => name).filter((name) => !names.has(name)) : []
}
