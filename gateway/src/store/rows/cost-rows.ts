import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import type { DeploymentCost } from '#api/status/cost.ts'
import { PriceSource, type Rate } from '#api/status/prices.ts'
import { costShares } from '../../deployments/status/cost-shares.ts'
import type { MachineTime } from '../../deployments/status/status-store.ts'
import { workingStates } from '../../deployments/states.ts'
import { parsedObject, readRows, type StoreTools } from '../store-tools.ts'

const working = workingStates.map((state) => `'${state}'`).join(', ')

const AtWork = z.object({ id: z.string(), app: z.string() })
const LastRate = z.object({ currency: z.string(), prices: PriceSource })
const Time = z.object({
  day: z.string(),
  app: z.string(),
  currency: z.string(),
  machineMs: z.number(),
  amount: z.number(),
})

/**
 * Who pays for the machine's seconds, for use within a transaction of the store. Call `settle`
 * before the set of deployments at work changes.
 */
export class CostRows {
  readonly #time: StoreTools['time']
  readonly #statements
  #rate: Rate | null = null

  constructor(db: DatabaseSync, { time }: Pick<StoreTools, 'time'>) {
    this.#time = time
    this.#statements = {
      countedTo: db.prepare('SELECT counted_to AS at FROM cost_meter'),
      count: db.prepare('INSERT OR REPLACE INTO cost_meter (id, counted_to) VALUES (1, ?)'),
      // Without a lease nobody works on it: it waits for its turn after a death of the gateway.
      atWork: db.prepare(
        `SELECT id, app FROM deployments INDEXED BY deployments_unfinished
         WHERE ended_at IS NULL AND state IN (${working}) AND leased_until IS NOT NULL`,
      ),
      addToDeployment: db.prepare(
        `INSERT INTO deployment_costs VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET
           machine_ms = machine_ms + ?2, unpriced_ms = unpriced_ms + ?3, amount = amount + ?4, rate = ?5`,
      ),
      addToDay: db.prepare(
        `INSERT INTO machine_time VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET
           machine_ms = machine_ms + ?4, amount = amount + ?5`,
      ),
      ofDeployment: db.prepare(
        'SELECT machine_ms, unpriced_ms, amount, rate FROM deployment_costs WHERE deployment = ?',
      ),
      forget: db.prepare('DELETE FROM deployment_costs WHERE deployment = ?'),
      since: db.prepare(
        'SELECT day, app, currency, machine_ms AS machineMs, amount FROM machine_time WHERE day >= ?',
      ),
    }
  }

  /** From now on the machine has this price. */
  useRate(rate: Rate | null): void {
    this.settle()
    this.#rate = rate
  }

  /** The gateway starts. Whether its machine ran before, it does not know. */
  begin(): void {
    this.#statements.count.run(this.#time())
  }

  /** Shares the time since the last call among the deployments at work. */
  settle(): void {
    const { countedTo, count, atWork, addToDeployment, addToDay } = this.#statements
    const now = this.#time()
    const last = countedTo.get()?.['at']
    if (last === now) return
    count.run(now)
    if (last === undefined) return

    const works = [...readRows(AtWork, atWork.iterate())]
    const { perSecond = 0, currency = '' } = this.#rate ?? {}
    for (const share of costShares(Date.parse(String(last)), Date.parse(now), works)) {
      const { day, work, machineMs } = share
      const amount = (machineMs / 1000) * perSecond
      addToDay.run(day, work?.app ?? '', currency, machineMs, amount)
      const unpricedMs = this.#rate ? 0 : machineMs
      const rate = JSON.stringify(this.#rate ?? {})
      if (work) addToDeployment.run(work.id, machineMs, unpricedMs, amount, rate)
    }
  }

  /** What a deployment that ends took. Null: the gateway never worked on it. */
  end(deployment: string): DeploymentCost | null {
    const { ofDeployment, forget } = this.#statements
    const row = ofDeployment.get(deployment)
    if (!row) return null
    forget.run(deployment)

    const rate = LastRate.safeParse(parsedObject(String(row['rate']))).data
    const isPriced = rate !== undefined && Number(row['unpriced_ms']) === 0
    return {
      machineSeconds: Math.round(Number(row['machine_ms'])) / 1000,
      amount: isPriced ? Number(row['amount']) : null,
      currency: rate?.currency ?? null,
      prices: rate?.prices ?? null,
    }
  }

  since(day: string): MachineTime[] {
    return [...readRows(Time, this.#statements.since.iterate(day))]
  }
}
