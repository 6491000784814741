import { assertSameRequest, fingerprintOf, keyKeptMs } from '../../deployments/idempotency.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import type { Row } from '../record.ts'
import type { DeploymentRows } from './deployment-rows.ts'

/** `earlier`: other forms of the same request. */
type Key = { app: string; key: string; requestBody: unknown; earlier?: readonly unknown[] }

/**
 * The deployment that was created with this key, if any. Problem: `idempotency-mismatch`.
 */
export function findByKey(rows: DeploymentRows, { app, key, ...request }: Key): Row | null {
  const known = knownKey(rows, app, key)
  if (!known) return null
  const fingerprint = String(known['fingerprint'])
  const isEarlier = request.earlier?.some((each) => fingerprintOf(each) === fingerprint)
  if (!isEarlier) assertSameRequest(fingerprint, request.requestBody, `request to ${app}`)
  return rows.find(String(known['deployment']))
}

/** Call it in the transaction that creates the deployment. */
export function recordKey(
  rows: DeploymentRows,
  { app, key, requestBody }: Key,
  deployment: string,
): void {
  rows.run('DELETE FROM idempotency_keys WHERE at < ?', [rows.time(-keyKeptMs)])
  keepWithin('The idempotency key', key, sizeLimits.nameBytes)
  rows.run('INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?)', [
    app,
    key,
    fingerprintOf(requestBody),
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

/** A page with the deployment that this key created, or an empty one. */
export function pageOfKey(rows: DeploymentRows, app: string, key: string) {
  const known = knownKey(rows, app, key)
  const row = known ? rows.find(String(known['deployment'])) : null
  return { shown: row ? [row] : [], next: null }
}
