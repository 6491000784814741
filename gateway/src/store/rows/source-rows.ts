import type { DatabaseSync } from 'node:sqlite'
import type { KeepSources } from '../../deployments/store.ts'
import { settingsIn } from './app-rows.ts'

/** The sources that are still needed, according to the tables. */
export class SourceRows {
  readonly #apps
  readonly #unfinished
  readonly #newest
  readonly #size

  constructor(db: DatabaseSync) {
    // A preview is never made again from its source: it has one deployment.
    this.#apps = db.prepare(
      'SELECT app, settings FROM apps WHERE app NOT IN (SELECT fly_app FROM previews)',
    )
    this.#unfinished = db.prepare(
      'SELECT id, source_digest AS digest FROM deployments WHERE ended_at IS NULL AND source_digest IS NOT NULL',
    )
    this.#newest = db.prepare(
      `SELECT id, source_digest AS digest, ended_at AS endedAt FROM deployments
       WHERE app = ? AND ended_at IS NOT NULL AND source_digest IS NOT NULL ORDER BY number DESC`,
    )
    this.#size = db.prepare(
      `SELECT iif(json_valid(body), body, '{}') ->> '$.source.sizeBytes' AS sizeBytes FROM deployments WHERE id = ?`,
    )
  }

  inUse(keep: KeepSources, now: number): Set<string> {
    return new Set(this.#sizes(keep, now).keys())
  }

  bytesInUse(keep: KeepSources, now: number): number {
    return [...this.#sizes(keep, now).values()].reduce((sum, sizeBytes) => sum + sizeBytes, 0)
  }

  /** The sizes of the sources in use, by digest. */
  #sizes(keep: KeepSources, now: number): Map<string, number> {
    const sizes = new Map<string, number>()
    for (const { id, digest } of this.#unfinished.all())
      sizes.set(String(digest), this.#sizeOf(String(id)))
    for (const { app, settings } of this.#apps.all()) {
      const {
        keepSources = keep.keepSources,
        keepSourcesMib = keep.keepSourcesMib,
        keepSourcesDays = keep.keepSourcesDays,
      } = settingsIn(String(settings))
      const since = new Date(now - keepSourcesDays * 86_400_000).toISOString()
      const kept = new Map<string, number>()
      let sizeBytes = 0
      for (const row of this.#newest.iterate(String(app))) {
        const digest = String(row['digest'])
        if (kept.has(digest)) continue
        // One query per source: records may be large, and a source may have many.
        const ownBytes = this.#sizeOf(String(row['id']))
        sizeBytes += ownBytes
        const enough = kept.size >= keepSources || sizeBytes > keepSourcesMib * 2 ** 20
        if (enough || String(row['endedAt']) < since) break
        kept.set(digest, ownBytes)
      }
      for (const [digest, ownBytes] of kept) sizes.set(digest, ownBytes)
    }
    return sizes
  }

  #sizeOf(id: string): number {
    return Number(this.#size.get(id)!['sizeBytes'])
  }
}
