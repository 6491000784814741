import type { DatabaseSync } from 'node:sqlite'
import {
  arrange,
  behindSuspects,
  type AtWork,
  type QueueLimits,
  type Queued,
  type Told,
} from '../../deployments/queue.ts'

/** The queue as it stands in the tables, for use within a transaction of the store. */
export class QueueRows {
  readonly #queued
  readonly #atWork
  readonly #waits
  readonly #told
  readonly #tell

  constructor(db: DatabaseSync) {
    this.#queued = db.prepare(
      `SELECT id, app, owner, number, builds, served,
         iif(json_valid(settings), settings, '{}') ->> '$.builds' AS appBuilds
       FROM deployments INDEXED BY deployments_queue JOIN apps USING (app) WHERE ended_at IS NULL AND state = 'pending'`,
    )
    this.#atWork = db.prepare(
      `SELECT id, app, owner, state FROM deployments INDEXED BY deployments_unfinished
       WHERE ended_at IS NULL AND state <> 'pending'`,
    )
    this.#waits = db.prepare("SELECT 1 FROM deployments WHERE id = ? AND state = 'pending'")
    this.#told = db.prepare('SELECT waiting FROM deployments WHERE id = ?')
    this.#tell = db.prepare('UPDATE deployments SET waiting = ? WHERE id = ?')
  }

  /** `suspects`: ids of those that come first, one at a time; null: the usual order. */
  arranged(limits: QueueLimits | null, suspects: string[] | null = null): ReturnType<typeof arrange> {
    const queued = this.#queued.all() as unknown as (Omit<Queued, 'builds'> & { builds: boolean | number })[]
    for (const one of queued) one.builds = one.builds === 1
    if (suspects) return { next: null, places: behindSuspects(queued as Queued[], suspects) }
    return arrange(queued as Queued[], this.#atWork.all() as unknown as AtWork[], limits)
  }

  waits(id: string): boolean {
    return this.#waits.get(id) !== undefined
  }

  told(id: string): Told | null {
    return JSON.parse(String(this.#told.get(id)?.['waiting'] ?? null)) as Told | null
  }

  tell(id: string, told: Told | null): void {
    this.#tell.run(told && JSON.stringify(told), id)
  }
}
