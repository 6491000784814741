import { hash } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { keptSteps, type StepTimeStore } from '../../deployments/build/step-time-store.ts'
import type { StoreTools } from '../store-tools.ts'

/** The table of how long steps of builds took. */
export class StepTimeRows implements StepTimeStore {
  readonly #tools: StoreTools
  readonly #note
  readonly #prune
  readonly #find
  readonly #forget

  constructor(db: DatabaseSync, tools: StoreTools) {
    this.#tools = tools
    this.#note = db.prepare('INSERT OR REPLACE INTO step_times VALUES (?, ?, ?, ?)')
    this.#prune = db.prepare(
      `DELETE FROM step_times WHERE app = ?1 AND at <
         (SELECT at FROM step_times WHERE app = ?1 ORDER BY at DESC LIMIT 1 OFFSET ?2)`,
    )
    this.#find = db.prepare('SELECT ms FROM step_times WHERE app = ? AND step = ?')
    this.#forget = db.prepare('DELETE FROM step_times WHERE app = ?')
  }

  note(app: string, ran: ReadonlyMap<string, number>): void {
    if (ran.size === 0) return
    this.#tools.transaction(() => {
      const at = this.#tools.time()
      for (const [step, ms] of [...ran].slice(-keptSteps))
        this.#note.run(app, keyOf(step), Math.round(ms), at)
      this.#prune.run(app, keptSteps - 1)
    })
  }

  sumOf(app: string, steps: Iterable<string>): number | null {
    const known = [...new Set(steps)].flatMap((step) => {
      const row = this.#find.get(app, keyOf(step))
      return row ? [Number(row['ms'])] : []
    })
    return known.length > 0 ? known.reduce((sum, ms) => sum + ms, 0) : null
  }

  forget(app: string): void {
    this.#tools.transaction(() => void this.#forget.run(app))
  }
}

/** A name may have thousands of letters: a whole script. */
const keyOf = (step: string): string => hash('sha256', step).slice(0, 32)
