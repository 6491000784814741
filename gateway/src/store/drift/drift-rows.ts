import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { DriftFinding } from '#api/drift/finding.ts'
import type { NewEvent } from '#api/event.ts'
import type { DriftPass, DriftRow, DriftStore } from '../../deployments/drift/drift-store.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import type { OwnerAppRows } from '../owners/owner-app-rows.ts'
import type { CrashRows } from '../rows/crash-rows.ts'
import type { EventRows } from '../rows/event-rows.ts'
import { readAs, readRows, type StoreTools } from '../store-tools.ts'

const Row = z.object({
  app: z.string(),
  fly_id: z.string().nullable(),
  looked_at: z.string(),
  expected: z.string(),
  findings: z.string(),
  problem: z.string().nullable(),
})
const Network = z.object({ name: z.string(), organization: z.string().nullable() })
const Expected = z
  .object({
    hostnames: z.array(z.string()).nullable(),
    flycast: z.array(z.object({ ip: z.string(), network: Network.nullable() })),
    publicIps: z.array(z.string()),
  })
  .nullable()
const Findings = z.array(DriftFinding)
const Pass = z.object({
  began_at: z.string(),
  is_over: z.number(),
  checked_at: z.string().nullable(),
})

type Others = { events: EventRows; crashes: CrashRows; ownerApps: OwnerAppRows }

/** The tables of the daily look for drift. */
export class DriftRows implements DriftStore {
  readonly #tools: StoreTools
  readonly #others: Others
  readonly #find
  readonly #all
  readonly #put
  readonly #forget
  readonly #pass
  readonly #putPass
  readonly #hasLog

  constructor(db: DatabaseSync, tools: StoreTools, others: Others) {
    this.#tools = tools
    this.#others = others
    const columns = 'app, fly_id, looked_at, expected, findings, problem'
    this.#find = db.prepare(`SELECT ${columns} FROM drift WHERE app = ?`)
    this.#all = db.prepare(`SELECT ${columns} FROM drift ORDER BY app`)
    this.#put = db.prepare(`INSERT OR REPLACE INTO drift (${columns}) VALUES (?, ?, ?, ?, ?, ?)`)
    this.#forget = db.prepare('DELETE FROM drift WHERE app = ?')
    this.#pass = db.prepare('SELECT began_at, is_over, checked_at FROM drift_pass')
    this.#putPass = db.prepare('INSERT OR REPLACE INTO drift_pass VALUES (1, ?, ?, ?)')
    this.#hasLog = db.prepare('SELECT 1 FROM deployments WHERE id = ? AND log_dropped_at IS NULL')
  }

  async find(app: string) {
    const found = this.#find.get(app)
    return found ? toRow(readAs(Row, found)) : null
  }

  async all() {
    return Array.from(readRows(Row, this.#all.iterate()), toRow)
  }

  async save({ app, flyId, lookedAt, expected, findings, problem }: DriftRow, events: NewEvent[]) {
    const [one, other] = [expected, findings].map((value) =>
      keepWithin('What was found of an app', JSON.stringify(value), sizeLimits.optionsBytes),
    )
    this.#tools.transaction(() => {
      this.#put.run(app, flyId, lookedAt, one!, other!, problem)
      const deployment = events.length > 0 ? this.#newestOf(app) : null
      // A reader of a dropped log must not find half of one.
      if (deployment !== null && this.#hasLog.get(deployment))
        this.#others.events.write(deployment, events, this.#tools.time())
    })
  }

  async forget(app: string) {
    this.#tools.transaction(() => this.#forget.run(app))
  }

  async pass() {
    const found = this.#pass.get()
    if (!found) return null
    const { began_at: beganAt, is_over, checked_at: checkedAt } = readAs(Pass, found)
    return { beganAt, isOver: is_over === 1, checkedAt }
  }

  async savePass({ beganAt, isOver, checkedAt }: DriftPass) {
    this.#tools.transaction(() => this.#putPass.run(beganAt, Number(isOver), checkedAt))
  }

  /** The deployment of the app's own newest release, or else of its owners'. */
  #newestOf(app: string): string | null {
    const { crashes, ownerApps } = this.#others
    const target = ownerApps.targetOf(app)
    if (target) return crashes.newestOfOwner(target.app, target.owner)[0]?.deployment ?? null
    const all = crashes.newestOf(app)
    const newest = all.toSorted((a, b) => b.createdAt.localeCompare(a.createdAt))
    return (newest.find(({ owner }) => owner === null) ?? newest[0])?.deployment ?? null
  }
}

function toRow({ app, ...row }: z.infer<typeof Row>): DriftRow {
  return {
    app,
    flyId: row.fly_id,
    lookedAt: row.looked_at,
    expected: readAs(Expected, JSON.parse(row.expected)),
    findings: readAs(Findings, JSON.parse(row.findings)),
    problem: row.problem,
  }
}
