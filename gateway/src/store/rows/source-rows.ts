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
      `SELECT deployments.id AS id, coalesce(previews.app, deployments.app) AS app, source_digest AS digest FROM deployments
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
    const byApp = this.#kept(keep, now)
    const waiting = this.#sent.prune((app, digest) => byApp.get(app)?.has(digest) ?? false)
    return new Set([...waiting, ...[...byApp.values()].flatMap((kept) => [...kept.keys()])])
  }

  bytesInUse(keep: KeepSources, now: number): number {
    const sizes = new Map([...this.#kept(keep, now).values()].flatMap((kept) => [...kept]))
    return [...sizes.values()].reduce((sum, sizeBytes) => sum + sizeBytes, 0)
  }

  /** The sizes of the sources that each app keeps, by app and digest. */
  #kept(keep: KeepSources, now: number): Map<string, Map<string, number>> {
    const byApp = new Map<string, Map<string, number>>()
    const keptOf = (app: string) => {
      const kept = byApp.get(app) ?? new Map<string, number>()
      byApp.set(app, kept)
      return kept
    }
    for (const { id, app, digest } of this.#unfinished.all())
      keptOf(String(app)).set(String(digest), this.#sizeOf(String(id)))
    for (const row of this.#apps.all()) {
      const [app, own] = [String(row['app']), settingsIn(String(row['settings']))]
      const { keepSources = keep.keepSources, keepSourcesMib = keep.keepSourcesMib } = own
      const { keepSourcesDays = keep.keepSourcesDays } = own
      const limits = { keepSources, keepSourcesMib, keepSourcesDays }
      for (const [digest, bytes] of this.#newestOf(app, limits, now)) keptOf(app).set(digest, bytes)
    }
    return byApp
  }

  #newestOf(app: string, keep: KeepSources, now: number): Map<string, number> {
    const since = new Date(now - keep.keepSourcesDays * 86_400_000).toISOString()
    const kept = new Map<string, number>()
    let sizeBytes = 0
    for (const row of this.#newest.iterate(app)) {
      const digest = String(row['digest'])
      if (kept.has(digest)) continue
      // One query per source: records may be large, and a source may have many.
      const ownBytes = this.#sizeOf(String(row['id']))
      sizeBytes += ownBytes
      const enough = kept.size >= keep.keepSources || sizeBytes > keep.keepSourcesMib * 2 ** 20
      if (enough || String(row['endedAt']) < since) break
      kept.set(digest, ownBytes)
    }
    return kept
  }

  #sizeOf(id: string): number {
    return Number(this.#size.get(id)!['sizeBytes'])
  }
}
