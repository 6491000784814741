import { createHash } from 'node:crypto'
import { Problem } from '#api/problem.ts'
import type { NewDeployment } from '../deployments/store.ts'
import type { DeploymentRows } from './deployment-rows.ts'

/** For so long the same key stands for the same request. */
export const keyKeptMs = 24 * 3_600_000

/** Tells one request from another. Without what is not given, so that an option which a later gateway adds changes none. */
export function fingerprintOf(request: unknown): string {
  const asked = JSON.stringify(request, (_, value: unknown) => value ?? undefined)
  return createHash('sha256').update(asked).digest('hex')
}

/**
 * The id of the deployment that this key made, if any; else the key is written down for the one that comes. Problem:
 * `idempotency-mismatch`. For use within a transaction of the store.
 */
export function madeByKey(rows: DeploymentRows, fresh: NewDeployment, key: string): string | null {
  const { id, app, options, source, image, secretsMark } = fresh
  const fingerprint = fingerprintOf(fresh.asked ?? [options, source?.digest, image?.digest, secretsMark])
  rows.run('DELETE FROM idempotency_keys WHERE at < ?', [rows.time(-keyKeptMs)])
  const known = knownKey(rows, app, key)
  if (known && known['fingerprint'] !== fingerprint)
    throw new Problem(
      'idempotency-mismatch',
      `The Idempotency-Key was used for another request to ${app}; choose a new one.`,
    )
  if (known) return String(known['deployment'])
  rows.run('INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?)', [app, key, fingerprint, id, rows.time()])
  return null
}

/** What this key stands for, if it has been used. */
export const knownKey = (rows: DeploymentRows, app: string, key: string) =>
  rows.prepare('SELECT fingerprint, deployment FROM idempotency_keys WHERE app = ? AND key = ?').get(app, key)
