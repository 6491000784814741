import type { DatabaseSync } from 'node:sqlite'
import { DiskSample } from '#api/status/disk/disk-history.ts'
import { diskSampleMs } from '../../deployments/status/status-store.ts'
import { readRows } from '../store-tools.ts'

const keepMs = 14 * 86_400_000

/** What was on the disk: a row for each 10 minutes in which the gateway ran, for 14 days. */
export class DiskRows {
  readonly #add
  readonly #drop
  readonly #all

  constructor(db: DatabaseSync) {
    this.#add = db.prepare('INSERT OR REPLACE INTO disk_samples VALUES (?, ?, ?, ?, ?)')
    this.#drop = db.prepare('DELETE FROM disk_samples WHERE at < ?')
    this.#all = db.prepare(
      `SELECT at, size_bytes AS sizeBytes, free_bytes AS freeBytes, cache_bytes AS cacheBytes,
         source_bytes AS sourceBytes FROM disk_samples ORDER BY at`,
    )
  }

  /** A gateway that starts often still has one sample in 10 minutes, the newest. */
  add({ at, sizeBytes, freeBytes, cacheBytes, sourceBytes }: DiskSample): void {
    const ms = Date.parse(at)
    const slot = new Date(Math.floor(ms / diskSampleMs) * diskSampleMs).toISOString()
    this.#add.run(slot, sizeBytes, freeBytes, cacheBytes, sourceBytes)
    this.#drop.run(new Date(ms - keepMs).toISOString())
  }

  all(): DiskSample[] {
    return [...readRows(DiskSample, this.#all.iterate())]
  }
}
