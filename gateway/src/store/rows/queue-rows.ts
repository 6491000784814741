import type { DatabaseSync } from 'node:sqlite'
import {
  schedule,
  behindSuspects,
  type Running,
  type QueueLimits,
  type Queued,
  type QueueNotice,
} from '../../deployments/queue.ts'

/** The queue as the tables have it, for use within a transaction of the store. */
export class QueueRows {
  readonly #queued
  readonly #atWork
  readonly #waits
  readonly #announced
  readonly #recordNotice

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
    this.#announced = db.prepare('SELECT waiting FROM deployments WHERE id = ?')
    this.#recordNotice = db.prepare('UPDATE deployments SET waiting = ? WHERE id = ?')
  }

  /** `suspects`: ids of the deployments that come first, one at a time. Null: the usual order. */
  scheduled(
    limits: QueueLimits | null,
    suspects: string[] | null = null,
  ): ReturnType<typeof schedule> {
    const queued = this.#queued.all() as unknown as (Omit<Queued, 'builds'> & {
      builds: boolean | number
    })[]
    for (const one of queued) one.builds = one.builds === 1
    if (suspects) return { next: null, places: behindSuspects(queued as Queued[], suspects) }
    return schedule(queued as Queued[], this.#atWork.all() as unknown as Running[], limits)
  }

  waits(id: string): boolean {
    return this.#waits.get(id) !== undefined
  }

  lastNotice(id: string): QueueNotice | null {
    return JSON.parse(String(this.#announced.get(id)?.['waiting'] ?? null)) as QueueNotice | null
  }

  recordNotice(id: string, lastNotice: QueueNotice | null): void {
    this.#recordNotice.run(lastNotice && JSON.stringify(lastNotice), id)
  }
}
