import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { Template } from '#api/previews/template.ts'
import type { NewStoredTemplate, TemplateStore } from '../../deployments/previews/template-store.ts'
import { parsedObject, readAs, type StoreTools } from '../store-tools.ts'

const Row = z.object({ version: z.number(), body: z.string() })
const Body = Template.omit({ version: true })

/** The table of templates. */
export class TemplateRows implements TemplateStore {
  readonly #db: DatabaseSync
  readonly #tools: StoreTools

  constructor(db: DatabaseSync, tools: StoreTools) {
    this.#db = db
    this.#tools = tools
  }

  async add(fresh: NewStoredTemplate) {
    return this.#tools.transaction(() => {
      const { app, name } = fresh
      const newest = this.#newest(app, name)
      if (newest && contentOf(newest) === contentOf(fresh)) return newest
      const last = this.#db
        .prepare('SELECT max(version) AS last FROM preview_templates WHERE app = ? AND name = ?')
        .get(app, name)
      const template = {
        ...fresh,
        version: Number(last?.['last'] ?? 0) + 1,
        createdAt: this.#tools.time(),
      }
      this.#db
        .prepare('INSERT INTO preview_templates (app, name, version, body) VALUES (?, ?, ?, ?)')
        .run(app, name, template.version, JSON.stringify(Body.parse(template)))
      return template
    })
  }

  async find(app: string, name: string, version: number | null) {
    if (version === null) return this.#newest(app, name)
    const row = this.#db
      .prepare(
        'SELECT version, body FROM preview_templates WHERE app = ? AND name = ? AND version = ?',
      )
      .get(app, name, version)
    return row ? toTemplate(row) : null
  }

  async list(app: string) {
    const rows = this.#db
      .prepare(
        `SELECT max(version) AS version, body FROM preview_templates
         WHERE app = ? AND NOT removed GROUP BY name ORDER BY name`,
      )
      .all(app)
    return rows.map(toTemplate).map(({ config: _config, ...facts }) => facts)
  }

  async remove(app: string, name: string) {
    const remove = this.#db.prepare(
      'UPDATE preview_templates SET removed = 1 WHERE app = ? AND name = ? AND NOT removed',
    )
    this.#tools.transaction(() => void remove.run(app, name))
  }

  #newest(app: string, name: string): Template | null {
    const row = this.#db
      .prepare(
        `SELECT version, body FROM preview_templates WHERE app = ? AND name = ? AND NOT removed
         ORDER BY version DESC LIMIT 1`,
      )
      .get(app, name)
    return row ? toTemplate(row) : null
  }
}

const contentOf = ({ format, config, egress }: Omit<NewStoredTemplate, 'app'>) =>
  JSON.stringify([format, config, egress])

function toTemplate(value: unknown): Template {
  const { version, body } = readAs(Row, value)
  return { ...readAs(Body, parsedObject(body)), version }
}
