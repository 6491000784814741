import type { Deployment } from '#api/deployment.ts'
import { retryUntilKnown } from '#fly/fly-calls.ts'
import { applySecrets } from '../../commands/runtime/apply-secrets.ts'
import type { SecretDeps } from '../../commands/runtime/read-secrets.ts'
import type { Vault } from '../../secrets/vault.ts'

type PreviewSecretDeps = SecretDeps & { vault: Pick<Vault, 'open'> }

/** Gives a preview's own app on Fly the secrets of its request, before it has a machine. */
export async function setPreviewSecrets(
  { id, app }: Pick<Deployment, 'id' | 'app'>,
  { vault, ...deps }: PreviewSecretDeps,
  signal: AbortSignal,
): Promise<void> {
  const secrets = await vault.open({ id, app })
  if (secrets.size === 0) return
  const values = new Map(Array.from(secrets, ([name, value]) => [name, value.toString()]))
  const found = await deps.fly.app(app, signal)
  const change = { app, flyId: found?.id ?? null, values }
  await retryUntilKnown(() => applySecrets(change, deps, signal), signal)
}
