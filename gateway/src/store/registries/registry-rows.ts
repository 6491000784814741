import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { LoginTest } from '#api/registries/registry.ts'
import type { RegistryStore, StoredRegistry } from '../../deployments/registries/registry-store.ts'
import type { SecretOwner } from '../../deployments/secret-store.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import type { SecretRows } from '../rows/secret-rows.ts'
import { parsedObject, readRows, type StoreTools } from '../store-tools.ts'

const Row = z.object({
  id: z.string(),
  host: z.string(),
  prefix: z.string(),
  team: z.string(),
  username: z.string(),
  created_at: z.string(),
  created_by: z.string(),
  rotated_at: z.string().nullable(),
  last_test: z.string().nullable(),
  last_used_at: z.string().nullable(),
})

const ownerOf = (id: string): SecretOwner => `registry:${id}`

/** The table of logins at registries. Their passwords are in the table of secrets. */
export class RegistryRows implements RegistryStore {
  readonly #db: DatabaseSync
  readonly #tools: StoreTools
  readonly #secrets: SecretRows

  constructor(db: DatabaseSync, tools: StoreTools, secrets: SecretRows) {
    this.#db = db
    this.#tools = tools
    this.#secrets = secrets
  }

  async all() {
    const rows = this.#db.prepare('SELECT * FROM registries ORDER BY host, prefix, team').iterate()
    return [...readRows(Row, rows)].map((row) => this.#toRegistry(row))
  }

  async add({
    id,
    host,
    prefix,
    username,
    password,
    ...more
  }: Parameters<RegistryStore['add']>[0]) {
    for (const text of [host, prefix, username, more.createdBy])
      keepWithin('The login at a registry', text, sizeLimits.nameBytes)
    return this.#tools.transaction(() => {
      const { changes } = this.#db
        .prepare(
          'INSERT INTO registries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
        )
        .run(
          id,
          host,
          prefix,
          more.team ?? '',
          username,
          more.createdAt,
          more.createdBy,
          more.rotatedAt,
          textOf(more.lastTest),
          more.lastUsedAt,
        )
      if (changes > 0) this.#secrets.put(ownerOf(id), password, more.createdAt)
      return changes > 0
    })
  }

  async replace(id: string, change: Parameters<RegistryStore['replace']>[1]) {
    const { username, rotatedAt, lastTest, password } = change
    return this.#tools.transaction(() => {
      const { changes } = this.#db
        .prepare('UPDATE registries SET username = ?, rotated_at = ?, last_test = ? WHERE id = ?')
        .run(username, rotatedAt, textOf(lastTest), id)
      if (changes > 0) this.#secrets.put(ownerOf(id), password, this.#tools.time())
      return changes > 0
    })
  }

  async noteTest({ id, rotatedAt, lastTest }: Parameters<RegistryStore['noteTest']>[0]) {
    this.#run(
      'UPDATE registries SET last_test = ? WHERE id = ? AND rotated_at IS ?',
      textOf(lastTest),
      id,
      rotatedAt,
    )
  }

  async noteUse(id: string, at: string) {
    this.#run('UPDATE registries SET last_used_at = ? WHERE id = ?', at, id)
  }

  async remove(id: string) {
    return this.#tools.transaction(() => {
      this.#secrets.erase(ownerOf(id))
      return this.#db.prepare('DELETE FROM registries WHERE id = ?').run(id).changes > 0
    })
  }

  #run(sql: string, ...values: (string | null)[]): void {
    this.#tools.transaction(() => this.#db.prepare(sql).run(...values))
  }

  #toRegistry(row: z.infer<typeof Row>): StoredRegistry {
    const { id, host, prefix, team, username } = row
    const test = LoginTest.safeParse(parsedObject(row.last_test ?? ''))
    const [password = null] = this.#secrets.of(ownerOf(id))
    return {
      id,
      host,
      prefix,
      team: team || null,
      username,
      createdAt: row.created_at,
      createdBy: row.created_by,
      rotatedAt: row.rotated_at,
      lastTest: test.success ? test.data : null,
      lastUsedAt: row.last_used_at,
      password,
    }
  }
}

const textOf = (test: LoginTest | null): string | null => test && JSON.stringify(test)
