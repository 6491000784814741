import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { Caller } from '#api/callers/caller.ts'
import { ProblemBody } from '#api/problem/body.ts'
import { Problem } from '#api/problem.ts'
import { cutProblem } from '../../deployments/cut-texts.ts'
import { assertSameRequest, fingerprintOf, keyKeptMs } from '../../deployments/idempotency.ts'
import type {
  RolloutRequest,
  RolloutStore,
  StoredRollout,
} from '../../deployments/rollout-store.ts'
import type { PageRequest } from '../../deployments/release-store.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import type { Notices } from '../notices.ts'
import {
  filtered,
  pageOf,
  parsedObject,
  readAs,
  readRows,
  type StoreTools,
} from '../store-tools.ts'
import type { SuspectRows } from './suspect-rows.ts'

const Row = z.object({
  id: z.string(),
  created_at: z.string(),
  ended_at: z.string().nullable(),
  fingerprint: z.string(),
  body: z.string(),
})
type Row = z.infer<typeof Row>

/** The table of rollouts. */
export class RolloutRows implements RolloutStore {
  readonly #db: DatabaseSync
  readonly #tools: StoreTools
  readonly #others: { suspects: SuspectRows; notices: Notices }

  constructor(
    db: DatabaseSync,
    tools: StoreTools,
    others: { suspects: SuspectRows; notices: Notices },
  ) {
    this.#db = db
    this.#tools = tools
    this.#others = others
  }

  async create(...[fresh, request]: Parameters<RolloutStore['create']>) {
    const { time, transaction } = this.#tools
    return transaction(() => {
      const known = this.#known(request)
      if (known) return this.#whole(known)

      const { id, ...body } = fresh
      const { requestBody, idempotencyKey } = request
      for (const name of [id, idempotencyKey])
        keepWithin('A name', name ?? '', sizeLimits.nameBytes)
      const text = JSON.stringify({ ...body, refused: {}, problem: null })
      keepWithin('The rollout', text, sizeLimits.targetsBytes)
      this.#db
        .prepare(
          'INSERT INTO rollouts (id, created_at, idempotency_key, fingerprint, body) VALUES (?, ?, ?, ?, ?)',
        )
        .run(id, time(), idempotencyKey, fingerprintOf(requestBody), text)
      return this.#whole(this.#all('WHERE id = ?', id)[0]!)
    })
  }

  async findByIdempotencyKey(request: RolloutRequest) {
    const known = this.#known(request)
    return known ? this.#whole(known) : null
  }

  async find(id: string) {
    const [row] = this.#all('WHERE id = ?', id)
    return row ? this.#whole(row) : null
  }

  async list({ limit, before, isSeen }: PageRequest) {
    const newestFirst = this.#db.prepare('SELECT * FROM rollouts WHERE id < ? ORDER BY id DESC')
    const isOpen = (row: Row) =>
      !isSeen ||
      toRollout(row).targets.every(({ app, options }) => isSeen({ app, owner: options.owner }))
    const rows = filtered(readRows(Row, newestFirst.iterate(before ?? '~')), isOpen)
    const { shown, next } = pageOf(rows, limit, ({ id }) => id)
    return { rollouts: shown.map(toRollout), next }
  }

  async unfinished() {
    return this.#all('WHERE ended_at IS NULL ORDER BY created_at').map((row) => this.#whole(row))
  }

  async begin(id: string) {
    return this.#tools.transaction(() => this.#others.suspects.beginRollout(id))
  }

  async made(id: string) {
    const update = this.#db.prepare(
      'UPDATE rollouts SET making = max(making - 1, 0), suspect = 0 WHERE id = ?',
    )
    this.#change(() => update.run(id))
  }

  async refuse(id: string, deployment: string, problem: ProblemBody) {
    const insert = this.#db.prepare('INSERT OR REPLACE INTO rollout_refusals VALUES (?, ?, ?)')
    this.#tools.transaction(() => insert.run(id, deployment, JSON.stringify(cutProblem(problem))))
  }

  async stop(id: string, problem: ProblemBody) {
    const update = this.#db.prepare(
      `UPDATE rollouts SET body = json_set(body, '$.problem', json(?))
       WHERE id = ? AND ended_at IS NULL AND body ->> '$.problem' IS NULL`,
    )
    this.#tools.transaction(() => update.run(JSON.stringify(cutProblem(problem)), id))
  }

  async end(id: string) {
    const update = this.#db.prepare('UPDATE rollouts SET ended_at = ? WHERE id = ?')
    this.#change(() => update.run(this.#tools.time(), id))
  }

  /** A write after which deployments may start that had to wait for this rollout. */
  #change(write: () => unknown): void {
    this.#tools.transaction(() => {
      write()
      this.#others.notices.queueHasChanged()
    })
  }

  /**
   * Adds the refusals. They have their own table, so that a rollout of many targets is not
   * rewritten for each.
   */
  #whole(row: Row): StoredRollout {
    const rollout = toRollout(row)
    const refusals = this.#db
      .prepare('SELECT deployment, problem FROM rollout_refusals WHERE rollout = ?')
      .all(row.id)
    for (const { deployment, problem } of refusals)
      rollout.refused[String(deployment)] = readAs(ProblemBody, JSON.parse(String(problem)))
    return rollout
  }

  #known({ requestBody, idempotencyKey }: RolloutRequest): Row | undefined {
    const since = this.#tools.time(-keyKeptMs)
    const [known] = this.#all('WHERE idempotency_key = ? AND created_at > ?', idempotencyKey, since)
    if (known) assertSameRequest(known.fingerprint, requestBody, 'rollout')
    return known
  }

  #all(where: string, ...values: (string | number | null)[]): Row[] {
    const rows = this.#db.prepare(`SELECT * FROM rollouts ${where}`).iterate(...values)
    return [...readRows(Row, rows)]
  }
}

type StoredBody = Omit<StoredRollout, 'id' | 'createdAt' | 'endedAt'>

/** Checked once, when it was created. A rollout may have a thousand targets. */
const Body = z.looseObject({
  triggeredBy: Caller.nullable(),
  source: z.looseObject({}).nullable(),
  build: z.string().nullable(),
  parallel: z.number(),
  maxFailures: z.number(),
  targets: z.array(
    z.looseObject({ app: z.string(), deployment: z.string(), options: z.looseObject({}) }),
  ),
  refused: z.record(z.string(), z.looseObject({})),
  problem: z.looseObject({}).nullable(),
})
const isBody = (value: object | null): value is StoredBody => Body.safeParse(value).success

function toRollout({ id, created_at: createdAt, ended_at: endedAt, body }: Row): StoredRollout {
  const stored = parsedObject(body)
  const found = stored && { triggeredBy: null, ...stored } // an earlier gateway did not store this
  return { id, createdAt, endedAt, ...(isBody(found) ? found : damagedBody(id)) }
}

/** Without targets, so that nothing is left to do. */
const damagedBody = (id: string): StoredBody => {
  const detail = `The record of rollout ${id} is damaged and cannot be read. Its deployments still exist.`
  const problem = new Problem('database-unusable', detail).body()
  return {
    triggeredBy: null,
    source: null,
    build: null,
    parallel: 1,
    maxFailures: 1,
    targets: [],
    refused: {},
    problem,
  }
}
