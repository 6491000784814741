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
      'SELECT source_digest AS digest FROM deployments WHERE ended_at IS NULL AND source_digest IS NOT NULL',
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
    const digests = new Set(this.#unfinished.all().map(({ digest }) => String(digest)))
    for (const { app, settings } of this.#apps.all()) {
      const {
        keepSources = keep.keepSources,
        keepSourcesMib = keep.keepSourcesMib,
        keepSourcesDays = keep.keepSourcesDays,
      } = settingsIn(String(settings))
      const since = new Date(now - keepSourcesDays * 86_400_000).toISOString()
      const kept = new Set<string>()
      let sizeBytes = 0
      for (const row of this.#newest.iterate(String(app))) {
        const digest = String(row['digest'])
        if (kept.has(digest)) continue
        // One query per source: records may be large, and a source may have many.
        sizeBytes += Number(this.#size.get(String(row['id']))!['sizeBytes'])
        const enough = kept.size >= keepSources || sizeBytes > keepSourcesMib * 2 ** 20
        if (enough || String(row['endedAt']) < since) break
        kept.add(digest)
      }
      for (const digest of kept) digests.add(digest)
    }
    return digests
  }
}
