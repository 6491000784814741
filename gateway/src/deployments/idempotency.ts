import { createHash } from 'node:crypto'
import { Problem } from '#api/problem.ts'
import type { NewDeployment } from './store.ts'

/** How long a key identifies a request. */
export const keyKeptMs = 24 * 3_600_000

/** What a key identifies: the request of a new deployment, without its id and its key. */
export const requestOf = (fresh: NewDeployment): unknown =>
  fresh.requestBody ?? [
    fresh.options,
    fresh.source?.digest,
    fresh.image?.digest,
    fresh.secretsFingerprint,
  ]

/** The same request as an idempotency key may have it from before the sealing key was replaced. */
export const earlierRequestsOf = ({ oldSecretsFingerprints = [], ...fresh }: NewDeployment) =>
  oldSecretsFingerprints.map((secretsFingerprint) => requestOf({ ...fresh, secretsFingerprint }))

/**
 * Identifies a request. Ignores absent values, so that a new option in a later gateway changes no
 * fingerprint.
 */
export function fingerprintOf(request: unknown): string {
  const text = JSON.stringify(request, (_, value: unknown) => value ?? undefined)
  return createHash('sha256').update(text).digest('hex')
}

/**
 * Throws `idempotency-mismatch` if a key was used for another request. `kind` names what it made,
 * as in "rollout".
 */
export function assertSameRequest(fingerprint: string, request: unknown, kind: string): void {
  if (fingerprint === fingerprintOf(request)) return
  throw new Problem(
    'idempotency-mismatch',
    `The Idempotency-Key was used for another ${kind}; choose a new one.`,
  )
}
