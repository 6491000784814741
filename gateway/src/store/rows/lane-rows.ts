import { stopReason, superseded } from '../../deployments/stop.ts'
import { bodyOf, type DeploymentRows, type Patch, type Row, touched } from './deployment-rows.ts'

/** Who gives way to whom in a lane, for use within a transaction of the store. */
export class LaneRows {
  readonly #rows: DeploymentRows

  constructor(rows: DeploymentRows) {
    this.#rows = rows
  }

  /** Of those of a lane that have not ended the oldest. */
  oldest({ app, owner }: Pick<Row, 'app' | 'owner'>): Row | null {
    const open =
      'SELECT * FROM deployments WHERE app = ? AND owner = ? AND ended_at IS NULL ORDER BY number LIMIT 1'
    return this.#rows.all(open, [app, owner])[0] ?? null
  }

  /** Those of a lane that have not ended, oldest first, without those that only wait their turn: these may be many. */
  passing({ app, owner }: Pick<Row, 'app' | 'owner'>): Row[] {
    return this.#rows.all(
      `SELECT * FROM deployments INDEXED BY deployments_lane_passing
       WHERE app = ? AND owner = ? AND ended_at IS NULL AND keeps_turn = 0 ORDER BY number`,
      [app, owner],
    )
  }

  /** What a newer deployment of the lane does to an older one. */
  supersede(older: Row, newer: Row): void {
    const { options } = bodyOf(older)
    const { lane, deploy } = bodyOf(newer).options
    // What asked to wait its turn keeps it, and what only builds takes no deploy's place.
    if (
      lane === 'fifo' ||
      lane === 'reject' ||
      options.lane === 'fifo' ||
      (options.deploy && !deploy)
    )
      return
    if (older.state === 'pending') this.#rows.move(older, 'superseded', overtaken(newer))
    else if (lane === 'cancel-running' && !touched(older) && !stopReason(bodyOf(older))) {
      this.#rows.patch(older, older.state, { supersededBy: newer.id })
      this.#rows.write(older.id, [{ type: 'note', text: superseded(newer.id).message }])
    }
  }

  /** Back in the queue, it finds who came meanwhile. */
  applyNewerArrivals({ id }: Row): void {
    const row = this.#rows.find(id)!
    if (this.fenced(row)) return
    for (const newer of this.passing(row))
      if (newer.number > row.number && this.#rows.find(id)!.state === 'pending')
        this.supersede(row, newer)
  }

  /** The fence: where a newer deployment of the lane runs, or is being brought to machines, this one ends here. */
  fenced(row: Row): boolean {
    const [newer] = this.#rows.all(
      `SELECT * FROM deployments INDEXED BY deployments_fence
       WHERE app = ? AND number > ? AND owner = ? AND state IN ('deploying', 'verifying', 'live') LIMIT 1`,
      [row.app, row.number, row.owner],
    )
    if (newer) this.#rows.move(row, 'superseded', overtaken(newer))
    return newer !== undefined
  }
}

const overtaken = ({ id }: Row): Patch => ({ supersededBy: id, problem: superseded(id).body() })
