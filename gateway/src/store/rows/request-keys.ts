import { createHash } from 'node:crypto'
import { Problem } from '#api/problem.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import type { DeploymentRows } from './deployment-rows.ts'

/** How long a key identifies a request. */
export const keyKeptMs = 24 * 3_600_000

/**
 * Identifies a request. Ignores absent values, so that a new option in a later gateway changes no
 * fingerprint.
 */
export function fingerprintOf(request: unknown): string {
  const asked = JSON.stringify(request, (_, value: unknown) => value ?? undefined)
  return createHash('sha256').update(asked).digest('hex')
}

type Key = { app: string; key: string; asked: unknown }

/**
 * The id of the deployment that was created with this key, if any. Problem: `idempotency-mismatch`.
 */
export function madeByKey(rows: DeploymentRows, { app, key, asked }: Key): string | null {
  const known = knownKey(rows, app, key)
  if (known && known['fingerprint'] !== fingerprintOf(asked))
    throw new Problem(
      'idempotency-mismatch',
      `The Idempotency-Key was used for another request to ${app}; choose a new one.`,
    )
  return known ? String(known['deployment']) : null
}

/** Call it in the transaction that creates the deployment. */
export function noteKey(rows: DeploymentRows, { app, key, asked }: Key, deployment: string): void {
  rows.run('DELETE FROM idempotency_keys WHERE at < ?', [rows.time(-keyKeptMs)])
  keepWithin('The idempotency key', key, sizeLimits.nameBytes)
  rows.run('INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?)', [
    app,
    key,
    fingerprintOf(asked),
    deployment,
    rows.time(),
  ])
}

/** The deployment of this key, if the key has not expired. */
export const knownKey = (rows: DeploymentRows, app: string, key: string) =>
  rows
    .prepare(
      'SELECT fingerprint, deployment FROM idempotency_keys WHERE app = ? AND key = ? AND at >= ?',
    )
    .get(app, key, rows.time(-keyKeptMs))
