import type { DatabaseSync } from 'node:sqlite'
import { setTimeout as rest } from 'node:timers/promises'

/** A few milliseconds of work at a time, then a pause, so that no writer waits for long. */
const rowsAtOnce = 1000
const pagesAtOnce = 100
const restMs = 5
const deploymentsAtOnce = 100
/** 16 MiB of the file stay for new data. */
const sparePages = 4096

/**
 * Drops the logs of ended deployments beyond the newest `perApp` of their app, or older than
 * `endedBefore`. Returns how many.
 */
export async function dropLogs(
  db: DatabaseSync,
  transaction: <T>(work: () => T) => T,
  { perApp, endedBefore, at }: { perApp: number; endedBefore: string; at: string },
  signal: AbortSignal,
): Promise<number> {
  // Goes from app to app in the index: a scan of the whole table would hold up writers. Numbers can
  // have gaps (option `over`), so deployments are counted. That is done only if old enough ones
  // exist.
  const beyond = db.prepare(
    `WITH RECURSIVE apps (app) AS (
       SELECT min(app) FROM deployments
       UNION ALL SELECT (SELECT min(app) FROM deployments WHERE app > apps.app) FROM apps WHERE apps.app IS NOT NULL)
     SELECT d.id FROM apps CROSS JOIN deployments AS d WHERE d.app = apps.app AND d.log_kept = 1
       AND d.number <= (SELECT max(number) FROM deployments WHERE app = apps.app) - ?1 AND d.ended_at IS NOT NULL
       AND +d.number <= (SELECT number FROM deployments WHERE app = apps.app ORDER BY number DESC LIMIT 1 OFFSET ?1)
     LIMIT ${deploymentsAtOnce}`,
  )

  const older = db.prepare(
    `SELECT id FROM deployments WHERE log_kept = 1 AND ended_at < ? LIMIT ${deploymentsAtOnce}`,
  )

  // Marked with the first step, so that readers know even if a crash delays the next steps.
  const mark = db.prepare(
    'UPDATE deployments SET log_dropped_at = coalesce(log_dropped_at, ?) WHERE id = ?',
  )
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
  for (const due of [() => beyond.all(perApp), () => older.all(endedBefore)])
    for (let ids = due(); ids.length > 0; ids = due())
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

/** Returns free pages to the disk. A database without auto_vacuum keeps them for new logs. */
async function giveBack(db: DatabaseSync, signal: AbortSignal): Promise<void> {
  const free = db.prepare('PRAGMA freelist_count')
  const count = () => Number(free.get()!['freelist_count'])
  for (
    let left = count(), before = Infinity;
    left > sparePages && left < before && !signal.aborted;
  ) {
    db.exec(`PRAGMA incremental_vacuum(${pagesAtOnce})`)
    ;[before, left] = [left, count()]
    await rest(restMs)
  }
}
