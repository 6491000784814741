import { createHash } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { Problem, type ProblemBody } from '#api/problem.ts'
import type { KeptRollout, RolloutStore } from '../deployments/rollout-store.ts'

type Row = { id: string; created_at: string; ended_at: string | null; fingerprint: string; body: string }

/** The table of rollouts. Every method is one statement, or reads before the one that writes, with nothing between. */
export class RolloutRows implements RolloutStore {
  readonly #db: DatabaseSync
  readonly #now: () => number

  constructor(db: DatabaseSync, now: () => number) {
    this.#db = db
    this.#now = now
  }

  async create(...[fresh, { asked, idempotencyKey }]: Parameters<RolloutStore['create']>) {
    const fingerprint = createHash('sha256').update(JSON.stringify(asked)).digest('hex')
    const dayAgo = new Date(this.#now() - 24 * 3_600_000).toISOString()
    const [known] = this.#all('WHERE idempotency_key = ? AND created_at > ?', idempotencyKey, dayAgo)
    if (known && known.fingerprint !== fingerprint)
      throw new Problem('idempotency-mismatch', 'The Idempotency-Key was used for another rollout; choose a new one.')
    if (known) return toRollout(known)
    const { id, ...body } = fresh
    this.#db
      .prepare('INSERT INTO rollouts (id, created_at, idempotency_key, fingerprint, body) VALUES (?, ?, ?, ?, ?)')
      .run(id, this.#time(), idempotencyKey, fingerprint, JSON.stringify({ ...body, refused: {}, problem: null }))
    return (await this.find(id))!
  }

  async find(id: string) {
    const [row] = this.#all('WHERE id = ?', id)
    return row ? toRollout(row) : null
  }

  async unfinished() {
    return this.#all('WHERE ended_at IS NULL ORDER BY created_at').map(toRollout)
  }

  async refuse(id: string, deployment: string, problem: ProblemBody) {
    this.#db
      .prepare(`UPDATE rollouts SET body = json_set(body, ?, json(?)) WHERE id = ?`)
      .run(`$.refused."${deployment}"`, JSON.stringify(problem), id)
  }

  async end(id: string, problem: ProblemBody | null) {
    this.#db
      .prepare(`UPDATE rollouts SET ended_at = ?, body = json_set(body, '$.problem', json(?)) WHERE id = ?`)
      .run(this.#time(), JSON.stringify(problem), id)
  }

  #all(where: string, ...values: (string | null)[]): Row[] {
    return this.#db.prepare(`SELECT * FROM rollouts ${where}`).all(...values) as unknown as Row[]
  }

  #time = (): string => new Date(this.#now()).toISOString()
}

const toRollout = ({ id, created_at: createdAt, ended_at: endedAt, body }: Row): KeptRollout => ({
  id,
  createdAt,
  endedAt,
  ...(JSON.parse(body) as Omit<KeptRollout, 'id' | 'createdAt' | 'endedAt'>),
})
