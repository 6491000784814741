import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import type {
  RuntimeSecretStore,
  SecretMark,
} from '../../deployments/runtime/runtime-secret-store.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import { readAs, type StoreTools } from '../store-tools.ts'

const Row = z.object({ fly_id: z.string().nullable(), version: z.number(), own: z.string() })
const Own = z.record(z.string(), z.string().nullable())

/** How many names are remembered per app: those that changed last. */
const maxNames = 2000

function newest(before: SecretMark['own'], own: SecretMark['own']): SecretMark['own'] {
  const others = Object.entries(before).filter(([name]) => !Object.hasOwn(own, name))
  return Object.fromEntries([...others, ...Object.entries(own)].slice(-maxNames))
}

/** The table of what Tarmac has done to secrets in Fly's store. */
export class RuntimeSecretRows implements RuntimeSecretStore {
  readonly #transaction: StoreTools['transaction']
  readonly #find
  readonly #put

  constructor(db: DatabaseSync, { transaction }: Pick<StoreTools, 'transaction'>) {
    this.#transaction = transaction
    this.#find = db.prepare('SELECT fly_id, version, own FROM runtime_secrets WHERE app = ?')
    this.#put = db.prepare(
      `INSERT INTO runtime_secrets (app, fly_id, version, own) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET fly_id = excluded.fly_id, version = excluded.version, own = excluded.own`,
    )
  }

  async find(app: string) {
    return this.#read(app)
  }

  async note(app: string, { flyId, version, own }: SecretMark) {
    this.#transaction(() => {
      const before = this.#read(app)
      this.#write(app, {
        flyId: flyId ?? before?.flyId ?? null,
        version: Math.max(version, before?.version ?? 0),
        own: newest({ ...before?.own }, own),
      })
    })
  }

  async reset(app: string, mark: SecretMark) {
    this.#transaction(() => this.#write(app, mark))
  }

  #read(app: string): SecretMark | null {
    const found = this.#find.get(app)
    if (!found) return null
    const { fly_id: flyId, version, own } = readAs(Row, found)
    return { flyId, version, own: readAs(Own, JSON.parse(own)) }
  }

  #write(app: string, { flyId, version, own }: SecretMark): void {
    for (const text of [app, flyId ?? ''])
      keepWithin('The name of an app', text, sizeLimits.nameBytes)
    const text = keepWithin('The list of secrets', JSON.stringify(own), sizeLimits.optionsBytes)
    this.#put.run(app, flyId, version, text)
  }
}
