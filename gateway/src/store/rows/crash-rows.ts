import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { Crash } from '#api/deployment.ts'
import type { NewEvent } from '#api/event.ts'
import type { NewestRelease } from '../../deployments/release-store.ts'
import { cutText, keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import { readAs, readRows, type StoreTools } from '../store-tools.ts'
import type { EventRows } from './event-rows.ts'

/** The facts of a release as its table has them, with its crashes. */
export const ReleaseFacts = z.object({
  app: z.string(),
  owner: z.string(),
  number: z.number(),
  deployment: z.string(),
  created_at: z.string(),
  crashes: z.string(),
})
const Crashes = z.array(Crash)

/** Of the table `releases AS r`: of an owner that was destroyed, nothing is expected to run. */
export const isExpected = `NOT EXISTS (SELECT 1 FROM owner_rests AS o
  WHERE o.app = r.app AND o.owner = r.owner AND o.state = 'destroyed')`

/** A column of the table `releases AS r`. */
export const crashesColumn = `coalesce((SELECT crashes FROM release_crashes AS c
  WHERE c.app = r.app AND c.owner = r.owner AND c.number = r.number), '[]') AS crashes`

export const crashesIn = (text: string): Crash[] => readAs(Crashes, JSON.parse(text))

/** The table of the crashes of releases. */
export class CrashRows {
  readonly #tools: StoreTools
  readonly #events: EventRows
  readonly #nextApp
  readonly #newest
  readonly #newestOfOwner
  readonly #write
  readonly #prune
  readonly #forget
  readonly #ofDeployment
  readonly #hasLog

  constructor(db: DatabaseSync, tools: StoreTools, events: EventRows) {
    this.#tools = tools
    this.#events = events
    // From app to app in the index: a scan of the table would hold up writers.
    this.#nextApp = db.prepare('SELECT min(app) AS app FROM releases WHERE app > ?')
    const facts = `SELECT app, owner, number, deployment, created_at, ${crashesColumn} FROM releases AS r`
    this.#newestOfOwner = db.prepare(
      `${facts} WHERE app = ? AND owner = ? AND ${isExpected} ORDER BY number DESC LIMIT 1`,
    )
    this.#newest = db.prepare(
      `${facts} WHERE app = ?
       AND number = (SELECT max(number) FROM releases WHERE app = r.app AND owner = r.owner)
       AND (? OR ${isExpected}) ORDER BY owner`,
    )
    this.#write = db.prepare('INSERT OR REPLACE INTO release_crashes VALUES (?, ?, ?, ?)')
    this.#prune = db.prepare(
      'DELETE FROM release_crashes WHERE app = ? AND owner = ? AND number <= ?',
    )
    this.#forget = db.prepare('DELETE FROM release_crashes WHERE app = ?')
    this.#ofDeployment = db.prepare(
      "UPDATE deployments SET body = json_set(body, '$.crashes', json(?)), updated_at = ? WHERE id = ? AND json_valid(body)",
    )
    this.#hasLog = db.prepare('SELECT 1 FROM deployments WHERE id = ? AND log_dropped_at IS NULL')
  }

  apps(): string[] {
    const apps: string[] = []
    for (let app = this.#after(''); app !== null; app = this.#after(app)) apps.push(app)
    return apps
  }

  /** `destroyed`: also of owners that were destroyed. */
  newestOf(app: string, { destroyed = false } = {}): NewestRelease[] {
    const rows = this.#newest.iterate(app, Number(destroyed))
    return Array.from(readRows(ReleaseFacts, rows), toNewest)
  }

  newestOfOwner(app: string, owner: string): NewestRelease[] {
    return Array.from(readRows(ReleaseFacts, this.#newestOfOwner.iterate(app, owner)), toNewest)
  }

  note(release: NewestRelease, crashes: Crash[], events: NewEvent[]): boolean {
    const { app, owner, number, deployment } = release
    const text = JSON.stringify(crashes.map(withinLimits))
    const at = this.#tools.time()
    return this.#tools.transaction(() => {
      const now = this.newestOf(app).find((each) => each.owner === owner)
      const isSame = now?.number === number && same(now.crashes, release.crashes)
      if (!isSame) return false

      this.#write.run(app, owner ?? '', number, text)
      this.#ofDeployment.run(text, at, deployment)
      // A reader of a dropped log must not find half of one.
      if (this.#hasLog.get(deployment)) this.#events.write(deployment, events, at)
      return true
    })
  }

  prune(app: string, owner: string, upTo: number): void {
    this.#prune.run(app, owner, upTo)
  }

  forget(app: string): void {
    this.#forget.run(app)
  }

  #after(app: string): string | null {
    const next = this.#nextApp.get(app)?.['app']
    return typeof next === 'string' ? next : null
  }
}

const toNewest = (row: z.infer<typeof ReleaseFacts>): NewestRelease => ({
  app: row.app,
  owner: row.owner || null,
  number: row.number,
  deployment: row.deployment,
  createdAt: row.created_at,
  crashes: crashesIn(row.crashes),
})

function withinLimits(crash: Crash): Crash {
  keepWithin('The id of a machine', crash.machine, sizeLimits.nameBytes)
  return { ...crash, why: cutText(crash.why, sizeLimits.cancelChars) }
}

const same = (one: Crash[], other: Crash[]): boolean =>
  JSON.stringify(one) === JSON.stringify(other)
