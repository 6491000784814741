import type { DatabaseSync } from 'node:sqlite'
import { QueuePause } from '#api/overview/queue.ts'
import { readAs } from '../store-tools.ts'

/** Whether the queue is paused, for use within a transaction of the store. */
export class PauseRows {
  readonly #find
  readonly #put
  readonly #remove

  constructor(db: DatabaseSync) {
    this.#find = db.prepare('SELECT at, by, why FROM queue_pause')
    this.#put = db.prepare('INSERT OR REPLACE INTO queue_pause VALUES (1, ?, ?, ?)')
    this.#remove = db.prepare('DELETE FROM queue_pause')
  }

  find(): QueuePause | null {
    const row = this.#find.get()
    return row ? readAs(QueuePause, row) : null
  }

  put({ at, by, why }: QueuePause): void {
    this.#put.run(at, by, why)
  }

  remove(): void {
    this.#remove.run()
  }
}
