import { stopReason, superseded } from '../../deployments/stop.ts'
import { bodyOf, type DeploymentRows, type Patch, type Row, touched } from './deployment-rows.ts'

/**
 * Which deployments of a lane a newer one supersedes, for use within a transaction of the store.
 */
export class LaneRows {
  readonly #rows: DeploymentRows

  constructor(rows: DeploymentRows) {
    this.#rows = rows
  }

  /** The oldest deployment of a lane that has not ended. */
  oldest({ app, owner }: Pick<Row, 'app' | 'owner'>): Row | null {
    const open =
      'SELECT * FROM deployments WHERE app = ? AND owner = ? AND ended_at IS NULL ORDER BY number LIMIT 1'
    return this.#rows.all(open, [app, owner])[0] ?? null
  }

  /**
   * The deployments of a lane that have not ended, oldest first. Leaves out `lane=fifo`: these only
   * wait their turn, and may be many.
   */
  passing({ app, owner }: Pick<Row, 'app' | 'owner'>): Row[] {
    return this.#rows.all(
      `SELECT * FROM deployments INDEXED BY deployments_lane_passing
       WHERE app = ? AND owner = ? AND ended_at IS NULL AND keeps_turn = 0 ORDER BY number`,
      [app, owner],
    )
  }

  /** Applies a newer deployment of the lane to an older one. */
  supersede(older: Row, newer: Row): void {
    const { options } = bodyOf(older)
    const { lane, deploy } = bodyOf(newer).options
    // A `fifo` deployment keeps its turn, and a build without deploy never supersedes a deploy.
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

  /** Back in the queue: applies the deployments that arrived meanwhile. */
  applyNewerArrivals({ id }: Row): void {
    const row = this.#rows.find(id)!
    if (this.fenced(row)) return
    for (const newer of this.passing(row))
      if (newer.number > row.number && this.#rows.find(id)!.state === 'pending')
        this.supersede(row, newer)
  }

  /**
   * The fence: supersedes this deployment if a newer one of the lane is live or is being deployed.
   */
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
