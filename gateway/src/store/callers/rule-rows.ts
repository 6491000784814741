import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { Rule } from '#api/callers/rule.ts'
import type { RuleStore } from '../../deployments/callers/rule-store.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import { readAs, readRows, type StoreTools } from '../store-tools.ts'

const Row = z.object({ body: z.string() })

/** The table of rules. */
export class RuleRows implements RuleStore {
  readonly #transaction: StoreTools['transaction']
  readonly #list
  readonly #add
  readonly #remove

  constructor(db: DatabaseSync, { transaction }: Pick<StoreTools, 'transaction'>) {
    this.#transaction = transaction
    this.#list = db.prepare('SELECT body FROM rules ORDER BY id')
    this.#add = db.prepare('INSERT INTO rules (name, body) VALUES (?, ?) ON CONFLICT DO NOTHING')
    this.#remove = db.prepare('DELETE FROM rules WHERE name = ?')
  }

  async list() {
    return [...readRows(Row, this.#list.iterate())].map(({ body }) =>
      readAs(Rule, JSON.parse(body)),
    )
  }

  async add(rule: Rule) {
    const body = keepWithin('The rule', JSON.stringify(rule), sizeLimits.optionsBytes)
    return this.#transaction(() => this.#add.run(rule.name, body).changes > 0)
  }

  async remove(name: string) {
    return this.#transaction(() => this.#remove.run(name).changes > 0)
  }
}
