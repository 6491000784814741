import type { DatabaseSync } from 'node:sqlite'
import { setTimeout as rest } from 'node:timers/promises'

/** A few milliseconds of work at once, with a rest after it, so that nobody who writes waits for long. */
const rowsAtOnce = 1000
const pagesAtOnce = 100
const restMs = 5
/** 16 MiB of the file are kept for what comes next. */
const sparePages = 4096

/** Drops the logs of ended deployments beyond the newest `perApp` of their app, or older than `endedBefore`; tells how many. */
export async function dropLogs(
  db: DatabaseSync,
  transaction: <T>(work: () => T) => T,
  { perApp, endedBefore, at }: { perApp: number; endedBefore: string; at: string },
  signal: AbortSignal,
): Promise<number> {
  const due = db.prepare(
    `SELECT id FROM (
       SELECT id, ended_at, log_dropped_at, row_number() OVER (PARTITION BY app ORDER BY number DESC) AS place
       FROM deployments WHERE log_kept = 1)
     WHERE ended_at IS NOT NULL AND (place > ? OR ended_at < ? OR log_dropped_at IS NOT NULL) LIMIT 100`,
  )
  // Readers are told from the first step on, also when the next ones come after a crash.
  const mark = db.prepare('UPDATE deployments SET log_dropped_at = coalesce(log_dropped_at, ?) WHERE id = ?')
  const remove = db.prepare(
    `DELETE FROM events WHERE deployment = ?1 AND seq IN (
       SELECT seq FROM events WHERE deployment = ?1 LIMIT ${rowsAtOnce})`,
  )
  const finish = db.prepare('UPDATE deployments SET log_kept = 0 WHERE id = ?')
  const step = (id: string): boolean =>
    transaction(() => {
      mark.run(at, id)
      const last = remove.run(id).changes < rowsAtOnce
      if (last) finish.run(id)
      return last
    })

  let dropped = 0
  for (let ids = due.all(perApp, endedBefore); ids.length > 0; ids = due.all(perApp, endedBefore))
    for (const { id } of ids)
      for (let done = false; !done;) {
        done = step(String(id))
        if (done) dropped++
        await rest(restMs)
        if (signal.aborted) return dropped
      }
  await giveBack(db, signal)
  return dropped
}

/** Free pages go back to the disk; where the database was not made for that, they wait for new logs. */
async function giveBack(db: DatabaseSync, signal: AbortSignal): Promise<void> {
  const free = db.prepare('PRAGMA freelist_count')
  const count = () => Number(free.get()!['freelist_count'])
  for (let left = count(), before = Infinity; left > sparePages && left < before && !signal.aborted;) {
    db.exec(`PRAGMA incremental_vacuum(${pagesAtOnce})`)
    ;[before, left] = [left, count()]
    await rest(restMs)
  }
}
