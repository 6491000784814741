import type { DatabaseSync } from 'node:sqlite'
import { setTimeout as rest } from 'node:timers/promises'
import type { StoreTools } from './store-tools.ts'

/** A few milliseconds of work at a time, then a pause, so that no writer waits for long. */
const rowsAtOnce = 1000
const pagesAtOnce = 100
const restMs = 5
const deploymentsAtOnce = 100
/** 16 MiB of the file stay for new data. */
const sparePages = 4096

/**
 * Drops the logs of deployments beyond the newest `perApp` of their app, or that ended more than
 * `days` ago. Returns how many.
 */
export async function dropLogs(
  db: DatabaseSync,
  tools: StoreTools,
  { perApp, days }: { perApp: number; days: number },
  signal: AbortSignal,
): Promise<number> {
  const endedBefore = tools.time(-days * 86_400_000)
  const dropSome = dropper(db, tools)
  let dropped = 0
  for (const id of dueIds(db, perApp, endedBefore)) {
    for (let isDone = false; !isDone;) {
      isDone = dropSome(id)
      if (isDone) dropped++
      await rest(restMs)
      if (signal.aborted) return dropped
    }
  }
  await giveBack(db, signal)
  return dropped
}

/** The deployments whose logs to drop. Drop each one before you request the next. */
function* dueIds(db: DatabaseSync, perApp: number, endedBefore: string): Generator<string, void> {
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

  for (const due of [() => beyond.all(perApp), () => older.all(endedBefore)])
    for (let rows = due(); rows.length > 0; rows = due())
      for (const { id } of rows) yield String(id)
}

/** Returns a function that drops a part of a log. It returns whether that was the last part. */
function dropper(db: DatabaseSync, { time, transaction }: StoreTools) {
  const at = time()
  // Marked with the first step, so that readers know even if a crash delays the next steps.
  const mark = db.prepare(
    'UPDATE deployments SET log_dropped_at = coalesce(log_dropped_at, ?) WHERE id = ?',
  )
  const remove = db.prepare(
    `DELETE FROM events WHERE deployment = ?1 AND seq IN (
       SELECT seq FROM events WHERE deployment = ?1 LIMIT ${rowsAtOnce})`,
  )
  const finish = db.prepare('UPDATE deployments SET log_kept = 0 WHERE id = ?')

  return (id: string): boolean =>
    transaction(() => {
      mark.run(at, id)
      const isLast = remove.run(id).changes < rowsAtOnce
      if (isLast) finish.run(id)
      return isLast
    })
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
