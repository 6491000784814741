import type { SecretVersion } from '#api/release.ts'
import type { RuntimeSecret } from '#api/runtime/secrets.ts'
import type { FlySecret } from '#fly/answers.ts'
import type { SecretMark } from '../../deployments/runtime/runtime-secret-store.ts'
import { secretDigests } from '../releases.ts'

type Own = SecretMark['own']

/** A secret whose value on Fly is not the one of a release. */
export type ChangedSecret = {
  name: string
  how: 'added' | 'changed' | 'removed'
  by: 'tarmac' | 'another tool'
}

/** The secrets that have changed on Fly since a release, and who changed them. */
export function changesSince(
  release: SecretVersion[],
  now: SecretVersion[],
  own: Own,
): ChangedSecret[] {
  const [before, after] = [secretDigests(release), secretDigests(now)]
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((name) => {
    const digest = after[name] ?? null
    if (before[name] === after[name]) return []
    const how = digest === null ? 'removed' : name in before ? 'changed' : 'added'
    // An empty digest: a change of ours whose result is not known.
    const isOurs = name in own && (own[name] === digest || own[name] === '')
    return [{ name, how, by: isOurs ? 'tarmac' : 'another tool' } as const]
  })
}

/** Each secret with its state. `releases`: what the newest release of each target has. */
export function secretStates(
  now: FlySecret[],
  releases: (SecretVersion[] | null)[],
  own: Own,
): RuntimeSecret[] {
  const known = releases.flatMap((release) => (release ? [release] : []))
  const isUnknown = known.length < releases.length
  const changes = new Map(
    known.flatMap((release) => changesSince(release, now, own)).map((one) => [one.name, one]),
  )
  const present = now.map(({ name, digest, created_at, updated_at }): RuntimeSecret => {
    const change = changes.get(name)
    const isStaged = change !== undefined || releases.length === 0
    return {
      name,
      digest,
      createdAt: created_at ?? null,
      updatedAt: updated_at ?? null,
      state: isStaged ? 'staged' : isUnknown ? 'unknown' : 'deployed',
      changedBy: change?.by ?? null,
    }
  })
  const removed = [...changes.values()].flatMap(({ name, how, by }): RuntimeSecret[] =>
    how === 'removed'
      ? [
          {
            name,
            digest: null,
            createdAt: null,
            updatedAt: null,
            state: 'removed',
            changedBy: by,
          },
        ]
      : [],
  )
  return [...present, ...removed].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** `A (added), B (changed)`, at most 20. */
export function changesText(changes: ChangedSecret[]): string {
  const shown = changes.slice(0, maxShown).map(({ name, how }) => `${name} (${how})`)
  const more = changes.length - shown.length
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '')
}
const maxShown = 20
