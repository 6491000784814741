import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import type { NewerRecords } from '#api/status/backup.ts'
import { databaseIn } from '../backup.ts'

const Deployment = z.object({ id: z.string(), app: z.string(), at: z.string() })
const Secret = z.object({ owner: z.string(), name: z.string(), at: z.string() })

/**
 * What the records of a volume hold that a copy lacks. Null: nothing, or the records cannot be read
 * any more.
 */
export function newerThan(copy: DatabaseSync, dir: string): NewerRecords | null {
  const path = databaseIn(dir)
  if (!existsSync(path)) return null
  try {
    using db = new DatabaseSync(path, { readOnly: true, timeout: 5000 })
    const deployments = missing(db, copy, Deployment, {
      all: 'SELECT id, app, updated_at AS at FROM deployments',
      known: 'SELECT updated_at AS at FROM deployments WHERE id = ?',
      key: ({ id }) => [id],
    })
    const secrets = missing(db, copy, Secret, {
      all: `SELECT owner, name, updated_at AS at FROM secrets WHERE owner LIKE 'app:%'`,
      known: 'SELECT updated_at AS at FROM secrets WHERE owner = ? AND name = ?',
      key: ({ owner, name }) => [owner, name],
    })
    if (deployments.length + secrets.length === 0) return null
    const newest = deployments.toSorted((a, b) => b.at.localeCompare(a.at))[0] ?? null
    return { deployments: deployments.length, secrets: secrets.length, newest }
  } catch {
    return null // damaged records are a reason for a restore, not against it
  }
}

type Look<T> = { all: string; known: string; key: (row: T) => string[] }

/** The rows of `db` that `copy` does not have, or has as they were earlier. */
function missing<T extends { at: string }>(
  db: DatabaseSync,
  copy: DatabaseSync,
  schema: z.ZodType<T>,
  { all, known, key }: Look<T>,
): T[] {
  const look = copy.prepare(known)
  const rows = db.prepare(all).iterate()
  const found: T[] = []
  for (const raw of rows) {
    const row = schema.parse(raw)
    const at = look.get(...key(row))?.['at']
    if (typeof at !== 'string' || at < row.at) found.push(row)
  }
  return found
}
