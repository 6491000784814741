import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { type Crash, ImageFacts } from '#api/deployment.ts'
import type { NewEvent } from '#api/event.ts'
import { SecretVersion } from '#api/release.ts'
import { packJson, sharedChars, unpacked } from '../../deployments/packed-json.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import type { OwnerAppRows } from '../owners/owner-app-rows.ts'
import type { Notices } from '../notices.ts'
import { pageOf, readAs, readRows, type StoreTools } from '../store-tools.ts'
import {
  type StoredRelease,
  keptReleases,
  type NewestRelease,
  type NewRelease,
  type PageRequest,
  type ReleaseStore,
} from '../../deployments/release-store.ts'
import { type CrashRows, crashesColumn, crashesIn, isExpected, ReleaseFacts } from './crash-rows.ts'

const Row = ReleaseFacts.extend({ body: z.string() })
type Row = z.infer<typeof Row>

const ImageRow = z.object({
  owner: z.string(),
  number: z.number(),
  reference: z.string(),
  digest: z.string(),
})

/** `desired` is packed. The deploy engine checks it. */
const Body = z.object({
  image: ImageFacts,
  desired: z.unknown(),
  secrets: z.array(SecretVersion).nullable(),
})

type Others = { notices: Notices; crashes: CrashRows; ownerApps: OwnerAppRows }

/** The tables of releases and of the apps that this gateway created. */
export class ReleaseRows implements ReleaseStore {
  readonly #db: DatabaseSync
  readonly #tools: StoreTools
  readonly #others: Others
  readonly #insert
  readonly #prune
  readonly #upTo
  readonly #newest
  readonly #images

  constructor(db: DatabaseSync, tools: StoreTools, others: Others) {
    this.#others = others
    this.#db = db
    this.#tools = tools
    this.#insert = db.prepare(
      `INSERT INTO releases (app, owner, number, deployment, created_at, body)
       SELECT ?1, ?2, coalesce(max(number), 0) + 1, ?3, ?4, ?5 FROM releases WHERE app = ?1 AND owner = ?2
       RETURNING number`,
    )
    this.#prune = db.prepare('DELETE FROM releases WHERE app = ? AND owner = ? AND number <= ?')
    this.#upTo = db.prepare(
      `SELECT r.*, ${crashesColumn} FROM releases AS r
       WHERE app = ? AND owner = ? AND number <= ? ORDER BY number DESC LIMIT ?`,
    )
    this.#images = db.prepare(
      `SELECT owner, number, body ->> '$.image.reference' AS reference, body ->> '$.image.digest' AS digest
       FROM releases WHERE app = ? AND json_valid(body) AND body ->> '$.image.digest' IS NOT NULL
       ORDER BY owner, number DESC`,
    )
    this.#newest = db.prepare(
      `SELECT r.*, ${crashesColumn} FROM releases AS r WHERE app = ?
       AND number = (SELECT max(number) FROM releases WHERE app = r.app AND owner = r.owner)
       AND ${isExpected} ORDER BY owner`,
    )
  }

  /** Call it in the transaction in which the deployment goes live. Returns the number. */
  add(
    of: { app: string; owner: string; deployment: string; image: ImageFacts | null },
    release: NewRelease,
  ): number {
    const { app, owner } = of
    const kept = {
      image: of.image,
      ...release,
      desired: JSON.parse(packJson(release.desired ?? null)) as unknown,
    }

    const body = keepWithin('The release', JSON.stringify(kept), sizeLimits.releaseBytes)
    const number = Number(
      this.#insert.get(app, owner, of.deployment, this.#tools.time(), body)!['number'],
    )
    this.#db
      .prepare("DELETE FROM owner_rests WHERE app = ? AND owner = ? AND state = 'destroyed'")
      .run(app, owner)
    this.#prune.run(app, owner, number - keptReleases)
    this.#others.crashes.prune(app, owner, number - keptReleases)
    return number
  }

  async find(app: string, owner: string | null, number?: number) {
    const found = this.#upTo.get(app, owner ?? '', number ?? Number.MAX_SAFE_INTEGER, 1)
    const row = found && readAs(Row, found)
    return row && (number === undefined || row.number === number) ? toRelease(row) : null
  }

  async list(app: string, owner: string | null, page: PageRequest) {
    const upTo = page.before === null ? Number.MAX_SAFE_INTEGER : Number(page.before) - 1
    const rows = readRows(Row, this.#upTo.iterate(app, owner ?? '', upTo, page.limit + 1))
    const { shown, next } = pageOf(rows, page.limit, ({ number }) => number, shownChars)
    return { releases: shown.map(toRelease), next }
  }

  async newest(app: string) {
    return Array.from(readRows(Row, this.#newest.iterate(app)), toRelease)
  }

  async newestFacts(app: string) {
    return this.#others.crashes.newestOf(app)
  }

  async newestOn(flyApp: string) {
    const { crashes, ownerApps } = this.#others
    const target = ownerApps.targetOf(flyApp)
    if (target) return crashes.newestOfOwner(target.app, target.owner)
    return crashes.newestOf(flyApp).filter((each) => ownerApps.flyAppOf(each) === flyApp)
  }

  async images(app: string) {
    const rows = readRows(ImageRow, this.#images.iterate(app))
    return Array.from(rows, (row) => ({ ...row, owner: row.owner || null }))
  }

  async apps() {
    return this.#others.crashes.apps()
  }

  async flyApps() {
    const { crashes, ownerApps } = this.#others
    return crashes.apps().flatMap((app) => [app, ...ownerApps.flyAppsOf(app)])
  }

  async noteCrashes(release: NewestRelease, crashes: Crash[], events: NewEvent[]) {
    return this.#others.crashes.note(release, crashes, events)
  }

  async recordCreatedApp(app: string, flyId: string | null) {
    keepWithin('Fly’s id of the app', flyId ?? '', sizeLimits.nameBytes)
    keepWithin('The app’s name', app, sizeLimits.nameBytes)
    const { time, transaction } = this.#tools
    const note = this.#db.prepare(
      'INSERT INTO apps (app, made_at, fly_id) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET made_at = ?2, fly_id = ?3',
    )
    transaction(() => note.run(app, time(), flyId))
  }

  async isOwnApp(app: string, flyId: string | null) {
    const made =
      'SELECT 1 FROM apps WHERE app = ?1 AND made_at IS NOT NULL AND coalesce(fly_id = ?2, true)'
    return this.#db.prepare(made).get(app, flyId) !== undefined
  }

  async forget(app: string) {
    this.#tools.transaction(() => {
      // The row stays: deployments that arrived meanwhile need it to wait in the queue.
      this.#db
        .prepare("UPDATE apps SET settings = '{}', made_at = NULL, fly_id = NULL WHERE app = ?")
        .run(app)
      this.#db.prepare('DELETE FROM releases WHERE app = ?').run(app)
      this.#db.prepare('DELETE FROM routers WHERE router = ?').run(app)
      this.#others.crashes.forget(app)
      this.#db.prepare('DELETE FROM owner_rests WHERE app = ?').run(app)
      this.#db.prepare('DELETE FROM secrets WHERE owner = ?').run(`app:${app}`)
      this.#db.prepare('DELETE FROM runtime_secrets WHERE app = ?').run(app)
      this.#db.prepare('DELETE FROM drift WHERE app = ?').run(app)
      this.#others.notices.queueHasChanged() // its settings are gone
    })
  }
}

/** Size of a release as shown: a text that is stored once appears in each group. */
const shownChars = ({ body }: Row): number => body.length + sharedChars(bodyIn(body).desired)

function toRelease(row: Row): StoredRelease {
  const { app, owner, number, deployment, created_at, body, crashes } = row
  const { image, desired, secrets } = bodyIn(body)
  return {
    app,
    owner: owner || null,
    number,
    deployment,
    createdAt: created_at,
    crashes: crashesIn(crashes),
    image,
    secrets,
    desired: unpacked(desired),
  }
}

const bodyIn = (text: string) => readAs(Body, JSON.parse(text))
