import type { DatabaseSync } from 'node:sqlite'
import {
  type Death,
  gatewayDied,
  gatewayDiedAtRollout,
  countDeath,
} from '../../deployments/gateway-died.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import { failureIn, touchesMachines, workingStates } from '../../deployments/states.ts'
import type { Life } from '../../deployments/gateway-died.ts'
import { mayBeMissing } from '../../deployments/lanes.ts'
import { bodyOf, type Row, touched } from '../record.ts'
import type { DeploymentRows } from './deployment-rows.ts'

const working = workingStates.map((state) => `'${state}'`).join(', ')
const atMachines = workingStates
  .filter(touchesMachines)
  .map((state) => `'${state}'`)
  .join(', ')
/**
 * A lease means that a runner has it. A suspect in a deploy state that waits for its turn has none.
 */
const running = `ended_at IS NULL AND state IN (${working}) AND leased_until IS NOT NULL`
const suspects = 'suspect IS NOT NULL AND ended_at IS NULL'

/**
 * Deployments and rollouts that may have killed the gateway, for use within a transaction of the
 * store.
 */
export class SuspectRows {
  readonly #rows: DeploymentRows
  readonly #life
  readonly #begin
  readonly #stop
  readonly #any
  readonly #busy
  readonly #mark
  readonly #holdBack
  readonly #rollouts

  constructor(db: DatabaseSync, rows: DeploymentRows) {
    this.#rows = rows
    this.#life = db.prepare('SELECT boot, stopped_at AS stoppedAt FROM lives')
    this.#begin = db.prepare('INSERT OR REPLACE INTO lives (id, boot, started_at) VALUES (1, ?, ?)')
    this.#stop = db.prepare('UPDATE lives SET stopped_at = coalesce(stopped_at, ?)')
    this.#any = db.prepare(`SELECT 1 FROM deployments WHERE ${suspects} LIMIT 1`)
    this.#busy = db.prepare(
      `SELECT 1 FROM deployments WHERE ${running} UNION ALL SELECT 1 FROM rollouts WHERE making > 0 LIMIT 1`,
    )
    this.#rollouts = {
      making: db.prepare('SELECT id, deaths FROM rollouts WHERE ended_at IS NULL AND making > 0'),
      mark: db.prepare('UPDATE rollouts SET suspect = 1, deaths = ? WHERE id = ?'),
      stop: db.prepare(
        `UPDATE rollouts SET body = json_set(body, '$.problem', json(?)) WHERE id = ? AND json_valid(body)
         AND body ->> '$.problem' IS NULL`,
      ),
      settle: db.prepare(
        'UPDATE rollouts SET making = 0, suspect = min(suspect, 1) WHERE ended_at IS NULL',
      ),
      find: db.prepare('SELECT suspect FROM rollouts WHERE id = ?'),
      inTurn: db.prepare('SELECT 1 FROM rollouts WHERE ended_at IS NULL AND suspect = 2 LIMIT 1'),
      ask: db.prepare('UPDATE rollouts SET suspect = 2 WHERE id = ?'),
      begin: db.prepare('UPDATE rollouts SET making = making + 1 WHERE id = ?'),
    }
    this.#mark = db.prepare('UPDATE deployments SET deaths = ?, suspect = ? WHERE id = ?')
    this.#holdBack = db.prepare(
      `UPDATE deployments SET leased_until = NULL WHERE ${suspects} AND state IN (${atMachines})`,
    )
  }

  /**
   * Records a start of the gateway. If the previous one died, everything that ran then becomes a
   * suspect. If one thing ran alone, on the same boot of the machine, it gets one more death, and
   * ends when it reaches `maxDeaths`. Returns the deployments that ended.
   */
  startLife({ boot, maxDeaths }: Life): { ended: string[] } {
    const previous = this.#life.get()
    const ended: string[] = []
    this.#begin.run(keepWithin('The id of the boot', boot, sizeLimits.nameBytes), this.#rows.time())
    if (previous && previous['stoppedAt'] === null) {
      const left = this.#rows.all(`SELECT * FROM deployments WHERE ${running}`)
      const rollouts = this.#rollouts.making.all()

      const death = {
        running: left.length + rollouts.length,
        isSameBoot: previous['boot'] === boot,
        maxDeaths,
      }
      for (const row of left) if (this.#suspect(row, death)) ended.push(row.id)
      for (const { id, deaths } of rollouts)
        this.#suspectRollout(String(id), countDeath(Number(deaths), death))
    }

    this.#rollouts.settle.run()
    return { ended }
  }

  /**
   * See `RolloutStore.begin`. Suspect deployments come first, then suspect rollouts, then
   * everything else.
   */
  beginRollout(id: string): boolean {
    const suspect = Number(this.#rollouts.find.get(id)?.['suspect'] ?? 0)
    if (suspect > 0) this.#rollouts.ask.run(id)
    const mayBegin =
      this.#any.get() === undefined &&
      (suspect > 0 ? this.#busy.get() === undefined : this.#rollouts.inTurn.get() === undefined)
    if (mayBegin) this.#rollouts.begin.run(id)
    return mayBegin
  }

  endLife(): void {
    this.#stop.run(this.#rows.time())
  }

  /**
   * Call it after their logs say so: suspects in a deploy state keep that state until their turn.
   */
  holdBack(): void {
    this.#holdBack.run()
  }

  /** While there are suspects, one deployment runs at a time. */
  any(): boolean {
    return this.#any.get() !== undefined || this.#rollouts.inTurn.get() !== undefined
  }

  /** Suspects that wait for their turn, in order. Empty while anything runs. */
  inTurn(): Row[] {
    return this.#busy.get() ? [] : this.waiting()
  }

  /** Fewest deaths first; then the fewest attempts; then those whose machines wait. */
  waiting(): Row[] {
    return this.#rows.all(
      `SELECT * FROM deployments WHERE ${suspects} AND NOT (${running})
       ORDER BY deaths, epoch, state = 'pending', created_at`,
    )
  }

  /** Marks a deployment as suspect, or ends it. True when it ended. */
  #suspect(row: Row, death: Death): boolean {
    const { deaths, ends } = countDeath(row.deaths, death)
    this.#mark.run(deaths, ends ? null : row.state, row.id)
    if (!ends) return false

    const { id, app, state } = row
    this.#rows.write(id, [mayBeMissing])
    const problem = gatewayDied({
      id,
      app,
      state,
      deaths,
      machines: bodyOf(row).machines,
      touched: touched(row),
    })
    this.#rows.move(row, failureIn(state), { problem: problem.body() })
    return true
  }

  #suspectRollout(id: string, { deaths, ends }: ReturnType<typeof countDeath>): void {
    this.#rollouts.mark.run(deaths, id)
    if (ends) this.#rollouts.stop.run(JSON.stringify(gatewayDiedAtRollout(deaths).body()), id)
  }
}
