import { ChangedSecrets, type FlySecret, Secrets } from './answers.ts'
import type { FlyCalls } from './fly-calls.ts'

/** By name: the new value, or null to remove the secret. */
export type SecretChange = ReadonlyMap<string, string | null>

/**
 * Names, digests and times of an app's secrets. Fly never returns the values. Throws `fly-refused`
 * with status 412 while Fly does not have version `minVersion` yet.
 */
export async function listSecrets(
  calls: FlyCalls,
  { app, minVersion }: { app: string; minVersion: number },
  signal: AbortSignal,
): Promise<FlySecret[]> {
  const path = `/apps/${app}/secrets${minVersion > 0 ? `?min_version=${minVersion}` : ''}`
  const call = { path, action: 'list-secrets', id: app, answer: Secrets }
  return (await calls.read(call, signal)).secrets ?? []
}

/**
 * Sets and removes secrets, all or none. Returns Fly's new version of the app's secrets, and those
 * that were set. To remove a secret that does not exist is no error. Source: flyctl's
 * `internal/appsecrets/secrets.go`, and `AppSecretsUpdateResp` in fly.md's OpenAPI.
 */
export async function changeSecrets(
  calls: FlyCalls,
  { app, change }: { app: string; change: SecretChange },
  signal: AbortSignal,
): Promise<ChangedSecrets> {
  const path = `/apps/${app}/secrets`
  const call = { path, action: 'change-secrets', id: app, answer: ChangedSecrets }
  const body = { values: Object.fromEntries(change) }
  return calls.call({ ...call, method: 'POST', body }, signal)
}
