import type { Preview } from '#api/previews/preview.ts'
import type { Machine } from '../../localfly/state.ts'
import { evictors, markIn } from './load.ts'
import { limits, previewIdIn, teamOf } from './world.ts'

type Kind = keyof typeof limits
/** Previews that have a machine on Fly, and count for one limit of one gateway. */
export type Counted = { kind: Kind; mark: string; owner: string; key: string; ids: string[] }

/** `ownerOf`: null for one that waits in a pool. Those count for no limit of previews. */
export function countByLimit(
  machines: readonly Pick<Machine, 'state' | 'config' | 'own'>[],
  ownerOf: (id: string, mark: string | undefined) => string | null,
): Counted[] {
  const found = new Map<string, Counted>()
  for (const { state, config, own } of machines) {
    const id = previewIdIn(own.app)
    if (id === null || state === 'destroyed' || state === 'destroying') continue
    const { tarmac_preview_app: app = '', tarmac_preview_owner: named } = config.metadata ?? {}
    const mark = markIn(id)
    const owner = ownerOf(id, named)
    if (owner === null) continue
    const keys = { all: '', team: ` ${teamOf[app]}`, owner: ` ${app} ${owner}` }
    for (const kind of ['all', 'team', 'owner'] as const) {
      const key = `${kind} ${mark}${keys[kind]}`
      const counted = found.get(key) ?? { kind, mark, owner, key, ids: [] }
      found.set(key, counted)
      if (!counted.ids.includes(id)) counted.ids.push(id)
    }
  }
  return [...found.values()]
}

/**
 * Whether so many are more than there may be. `records`: what the records say of each.
 *
 * With evict=oldest a new preview takes the place of an older one, at the owner's limit and at the
 * team's quota (docs/previews.md, `evict`). The older one leaves the count when Fly has deleted it,
 * so for the moment an owner has up to twice the limit. In a team the others count as ever: only
 * those that were replaced, and are being deleted, come on top. No preview comes on top of the
 * gateway's limit.
 */
export function isOver({
  kind,
  owner,
  records,
}: {
  kind: Kind
  owner: string
  records: readonly (Pick<Preview, 'state' | 'ending'> | null)[]
}): boolean {
  if (kind === 'owner' && evictors.includes(owner)) return records.length > 2 * limits.owner
  const isReplaced = (record: (typeof records)[number]) => record?.ending?.why === 'evicted'
  const counted = kind === 'team' ? records.filter((record) => !isReplaced(record)) : records
  return counted.length > limits[kind]
}
