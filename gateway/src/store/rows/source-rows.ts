import type { DatabaseSync } from 'node:sqlite'
import type { KeepSources } from '../../deployments/store.ts'
import type { SentTreeRows } from '../sources/sent-tree-rows.ts'
import { settingsIn } from './app-rows.ts'

/** The sources that are still needed, according to the tables. */
export class SourceRows {
  readonly #apps
  readonly #unfinished
  readonly #newest
  readonly #size

  readonly #sent: SentTreeRows

  constructor(db: DatabaseSync, sent: SentTreeRows) {
    this.#sent = sent
    // A preview is never made again from its source: it has one deployment.
    this.#apps = db.prepare(
      'SELECT app, settings FROM apps WHERE app NOT IN (SELECT fly_app FROM previews)',
    )
    this.#unfinished = db.prepare(
      `SELECT coalesce(previews.app, deployments.app) AS app, source_digest AS digest FROM deployments
       LEFT JOIN previews ON fly_app = deployments.app WHERE deployments.ended_at IS NULL AND source_digest IS NOT NULL`,
    )
    this.#newest = db.prepare(
      `SELECT id, source_digest AS digest, ended_at AS endedAt FROM deployments
       WHERE app = ? AND ended_at IS NOT NULL AND source_digest IS NOT NULL ORDER BY number DESC`,
    )
    this.#size = db.prepare(
      `SELECT iif(json_valid(body), body, '{}') ->> '$.source.sizeBytes' AS sizeBytes FROM deployments WHERE id = ?`,
    )
  }

  /** Forgets which apps have sent the others. */
  inUse(keep: KeepSources, now: number): Set<string> {
    const byApp = new Map<string, Set<string>>()
    const keptOf = (app: string) => {
      const kept = byApp.get(app) ?? new Set()
      byApp.set(app, kept)
      return kept
    }
    for (const { app, digest } of this.#unfinished.all()) keptOf(String(app)).add(String(digest))
    for (const row of this.#apps.all()) {
      const [app, own] = [String(row['app']), settingsIn(String(row['settings']))]
      const { keepSources = keep.keepSources, keepSourcesMib = keep.keepSourcesMib } = own
      const { keepSourcesDays = keep.keepSourcesDays } = own
      const limits = { keepSources, keepSourcesMib, keepSourcesDays }
      for (const digest of this.#newestOf(app, limits, now)) keptOf(app).add(digest)
    }

    const waiting = this.#sent.prune(keptOf)
    return new Set([...waiting, ...[...byApp.values()].flatMap((kept) => [...kept])])
  }

  #newestOf(app: string, keep: KeepSources, now: number): Set<string> {
    const since = new Date(now - keep.keepSourcesDays * 86_400_000).toISOString()
    const kept = new Set<string>()
    let sizeBytes = 0
    for (const row of this.#newest.iterate(app)) {
      const digest = String(row['digest'])
      if (kept.has(digest)) continue
      // One query per source: records may be large, and a source may have many.
      sizeBytes += Number(this.#size.get(String(row['id']))!['sizeBytes'])
      const enough = kept.size >= keep.keepSources || sizeBytes > keep.keepSourcesMib * 2 ** 20
      if (enough || String(row['endedAt']) < since) break
      kept.add(digest)
    }
    return kept
  }
}
