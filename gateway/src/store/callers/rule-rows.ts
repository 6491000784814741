import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { Rule } from '#api/callers/rule.ts'
import type { RuleStore } from '../../deployments/callers/rule-store.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import { readAs, readRows, type StoreTools } from '../store-tools.ts'

const Row = z.object({ body: z.string() })
const Use = z.object({ name: z.string(), at: z.string() })

/** The table of rules. */
export class RuleRows implements RuleStore {
  readonly #transaction: StoreTools['transaction']
  readonly #list
  readonly #add
  readonly #remove
  readonly #uses
  readonly #noteUse
  readonly #forgetUse

  constructor(db: DatabaseSync, { transaction }: Pick<StoreTools, 'transaction'>) {
    this.#transaction = transaction
    this.#list = db.prepare('SELECT body FROM rules ORDER BY id')
    this.#add = db.prepare('INSERT INTO rules (name, body) VALUES (?, ?) ON CONFLICT DO NOTHING')
    this.#remove = db.prepare('DELETE FROM rules WHERE name = ?')
    this.#uses = db.prepare('SELECT name, at FROM rule_uses')
    this.#noteUse = db.prepare('INSERT OR REPLACE INTO rule_uses VALUES (?, ?)')
    this.#forgetUse = db.prepare('DELETE FROM rule_uses WHERE name = ?')
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
    return this.#transaction(() => {
      this.#forgetUse.run(name)
      return this.#remove.run(name).changes > 0
    })
  }

  async uses() {
    const rows = [...readRows(Use, this.#uses.iterate())]
    return new Map(rows.map(({ name, at }) => [name, at]))
  }

  async noteUses(uses: { name: string; at: string }[]) {
    this.#transaction(() => {
      for (const { name, at } of uses) this.#noteUse.run(name, at)
    })
  }
}
