import type { AppCache, CacheUsage } from '#api/status/cache.ts'
import type { CacheRecord } from './cache-records.ts'
import type { Users } from './cache-users.ts'

/** The records of the cache, the apps that used each, and the app of each cache key. */
export type Survey = {
  records: readonly CacheRecord[]
  users: Users
  keys: ReadonlyMap<string, string>
}

/** The one app that a record belongs to. Null: several apps use it, or nobody knows who. */
export function ownerOf({ users, keys }: Survey, { id, mountKey }: CacheRecord): string | null {
  const byKey = mountKey === null ? undefined : keys.get(mountKey)
  if (byKey !== undefined) return byKey
  const apps = users.get(id)
  if (apps?.size !== 1) return null
  const [app = null] = apps
  return app
}

const bytesOf = (records: readonly CacheRecord[]) =>
  records.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)

/** What each app has of the cache, largest first. Every byte counts once in the total. */
export function usageOf(survey: Survey): Omit<CacheUsage, 'maxBytes' | 'appBytes'> {
  const { records, users } = survey
  const byOwner = Map.groupBy(records, (record) => ownerOf(survey, record))
  const several = (byOwner.get(null) ?? []).filter(({ id }) => (users.get(id)?.size ?? 0) > 1)
  const sharedBytes = bytesOf(several)

  const names = new Set([...byOwner.keys(), ...[...users.values()].flatMap((apps) => [...apps])])
  names.delete(null)
  const apps = [...names].map((app): AppCache => {
    const own = byOwner.get(app) ?? []
    const alsoUsed = several.filter(({ id }) => app !== null && users.get(id)?.has(app))
    const used = [...own, ...alsoUsed].map(({ lastUsedMs }) => lastUsedMs)
    return {
      app: app ?? '',
      bytes: bytesOf(own),
      mountBytes: bytesOf(own.filter(({ kind }) => kind === 'mount')),
      sourceBytes: bytesOf(own.filter(({ kind }) => kind === 'source')),
      sharedBytes: bytesOf(alsoUsed),
      lastUsedAt: new Date(used.reduce((last, each) => Math.max(last, each), 0)).toISOString(),
    }
  })

  const totalBytes = bytesOf(records)
  const shown = apps.filter(isAppCache).toSorted((a, b) => b.bytes - a.bytes)
  const ownBytes = shown.reduce((sum, { bytes }) => sum + bytes, 0)
  return { totalBytes, sharedBytes, otherBytes: totalBytes - sharedBytes - ownBytes, apps: shown }
}

/** The gateway's own test builds have a name that no app can have. */
const isAppCache = ({ app }: AppCache) => !app.includes(' ')

/** The records of one app alone. */
export const recordsOf = (survey: Survey, app: string): CacheRecord[] =>
  survey.records.filter((record) => ownerOf(survey, record) === app)

/** Records that no build used for so long. */
export const unusedSince = ({ records }: Survey, cutMs: number): CacheRecord[] =>
  records.filter(({ inUse, lastUsedMs }) => !inUse && lastUsedMs < cutMs)

/** How teams share the cache. `percentOf` null: the team has no limit. */
export type CacheShares = {
  teamOf: (app: string) => string
  percentOf: (team: string) => number | null
}

/**
 * For each app that has more than its limit: its least recently used records, until the rest is
 * within the limit. A record goes together with those that were made from it.
 */
export function aboveLimit(survey: Survey, appBytes: number): CacheRecord[] {
  const byApp = Map.groupBy(survey.records, (record) => ownerOf(survey, record))
  byApp.delete(null)
  return oldestAbove(
    survey,
    [...byApp.values()].map((own) => ({ own, limitBytes: appBytes })),
  )
}

/** The same for each team that has more than its share of `maxBytes`, over all its apps. */
export function aboveShare(
  survey: Survey,
  { teamOf, percentOf }: CacheShares,
  maxBytes: number,
): CacheRecord[] {
  const byTeam = Map.groupBy(survey.records, (record) => {
    const app = ownerOf(survey, record)
    return app === null ? null : teamOf(app)
  })
  const limited = [...byTeam].flatMap(([team, own]) => {
    const percent = team === null ? null : percentOf(team)
    return percent === null ? [] : [{ own, limitBytes: (percent / 100) * maxBytes }]
  })
  return limited.length > 0 ? oldestAbove(survey, limited) : []
}

/** Of each group, the least recently used records, until the rest is within its limit. */
function oldestAbove(
  survey: Survey,
  groups: readonly { own: readonly CacheRecord[]; limitBytes: number }[],
): CacheRecord[] {
  const lastUse = lastUseWithChildren(survey.records)
  return groups.flatMap(({ own, limitBytes }) => {
    let excess = bytesOf(own) - limitBytes
    const oldestFirst = own
      .filter(({ inUse }) => !inUse)
      .toSorted((a, b) => (lastUse.get(a.id) ?? 0) - (lastUse.get(b.id) ?? 0))
    return oldestFirst.filter(({ sizeBytes }) => {
      if (excess <= 0) return false
      excess -= sizeBytes
      return true
    })
  })
}

/** When each record, or one that was made from it, was last used. */
function lastUseWithChildren(records: readonly CacheRecord[]): Map<string, number> {
  const lastUse = new Map(records.map(({ id, lastUsedMs }) => [id, lastUsedMs]))
  const parentsOf = new Map(records.map(({ id, parents }) => [id, parents]))
  const todo = records.map(({ id }) => id)
  for (let id = todo.pop(); id !== undefined; id = todo.pop())
    for (const parent of parentsOf.get(id) ?? []) {
      const [own = 0, ofParent = Infinity] = [lastUse.get(id), lastUse.get(parent)]
      // A little later: the record goes after those that were made from it.
      if (own + 0.001 <= ofParent) continue
      lastUse.set(parent, own + 0.001)
      todo.push(parent)
    }
  return lastUse
}
