import type { Deployment } from '#api/deployment.ts'
import {
  laneBusy,
  needsEmptyLane,
  onArrival,
  onReturn,
  overtaken,
} from '../../deployments/lanes.ts'
import { memberOf, type Row } from '../record.ts'
import type { DeploymentRows } from './deployment-rows.ts'

type Lane = Pick<Row, 'app' | 'owner'>

/** The queries and changes that the rules of lanes need. Use it within a transaction. */
export class LaneRows {
  readonly #rows: DeploymentRows

  constructor(rows: DeploymentRows) {
    this.#rows = rows
  }

  /** Throws `lane-busy` if a deployment with this policy needs an empty lane and it is not. */
  assertMayJoin({ app, owner }: Lane, policy: Deployment['options']['lane']): void {
    const oldest =
      'SELECT * FROM deployments WHERE app = ? AND owner = ? AND ended_at IS NULL ORDER BY number LIMIT 1'
    const busy = needsEmptyLane(policy) && this.#rows.first(oldest, [app, owner])
    if (busy) throw laneBusy(busy)
  }

  /**
   * The deployments of a lane after this number that have not ended, oldest first. Leaves out
   * `lane=fifo`: these only wait their turn, and may be many.
   */
  passing({ app, owner }: Lane, afterNumber = -1): Row[] {
    return this.#rows.all(
      `SELECT * FROM deployments INDEXED BY deployments_lane_passing
       WHERE app = ? AND owner = ? AND ended_at IS NULL AND keeps_turn = 0 AND number > ? ORDER BY number`,
      [app, owner, afterNumber],
    )
  }

  /** Applies a new deployment of the lane to the older ones. */
  arrive(newer: Row, older: Row[]): void {
    const arrival = memberOf(newer)
    for (const row of older) {
      const change = onArrival(memberOf(row), arrival)
      if (change) this.#rows.apply(row, change)
    }
  }

  /** Back in the queue: applies the deployments that arrived meanwhile. */
  applyNewerArrivals({ id }: Pick<Row, 'id'>): void {
    const row = this.#rows.find(id)!
    const ahead = this.#ahead(row)
    const newer = ahead ? [] : this.passing(row, row.number).map(memberOf)
    const change = onReturn(memberOf(row), ahead, newer)
    if (change) this.#rows.apply(row, change)
  }

  /** The fence: ends a deployment if a newer one of its lane is live or changes machines. */
  isStoppedAtFence(row: Row): boolean {
    const ahead = this.#ahead(row)
    if (ahead) this.#rows.apply(row, overtaken(ahead))
    return ahead !== null
  }

  #ahead({ app, number, owner }: Row): Row | null {
    return this.#rows.first(
      `SELECT * FROM deployments INDEXED BY deployments_fence
       WHERE app = ? AND number > ? AND owner = ? AND state IN ('deploying', 'verifying', 'live') LIMIT 1`,
      [app, number, owner],
    )
  }
}
