import type { CacheRecord } from './cache-records.ts'

/** The apps whose builds used each record, by the record's id. */
export type Users = ReadonlyMap<string, ReadonlySet<string>>
/** The time in which a build of an app ran, in milliseconds since 1970. */
export type Use = { app: string; fromMs: number; toMs: number }

/**
 * Notes which apps used each record. BuildKit does not say it, but it says when a record was made
 * and last used. So a record belongs to the apps whose builds ran at that time. When builds of
 * several apps ran, all of them count: a record may be called shared although one app alone uses it,
 * never the other way round. What a layer was made from has the users of that layer, too. Forgets
 * records that are gone.
 */
export function noteUsers(
  known: Users,
  records: readonly CacheRecord[],
  uses: readonly Use[],
): Map<string, Set<string>> {
  const users = new Map<string, Set<string>>()
  for (const { id, createdMs, lastUsedMs } of records) {
    const own = new Set(known.get(id))
    for (const { app, fromMs, toMs } of uses)
      if (isWithin(createdMs, fromMs, toMs) || isWithin(lastUsedMs, fromMs, toMs)) own.add(app)
    users.set(id, own)
  }

  const parentsOf = new Map(records.map(({ id, parents }) => [id, parents]))
  const todo = records.map(({ id }) => id)
  for (let id = todo.pop(); id !== undefined; id = todo.pop())
    for (const parent of parentsOf.get(id) ?? []) {
      const ofParent = users.get(parent)
      const missing = ofParent ? [...users.get(id)!].filter((app) => !ofParent.has(app)) : []
      for (const app of missing) ofParent?.add(app)
      if (missing.length > 0) todo.push(parent)
    }
  return users
}

const isWithin = (time: number, from: number, to: number) => time >= from && time <= to
