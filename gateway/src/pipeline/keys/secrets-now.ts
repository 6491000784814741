import type { SecretVersion } from '#api/release.ts'
import { Problem } from '#api/problem.ts'
import { readSecrets, type SecretDeps } from '../../commands/runtime/read-secrets.ts'

/** What the gateway knows of an app's secrets. `digests` null: Fly did not say, or there are too many. */
export type SecretsNow = {
  version: number
  digests: SecretVersion[] | null
  own: Record<string, string | null>
}

/** A release with more secrets than this records none. */
const maxSecrets = 5000

/**
 * Reads the app's secrets on Fly. A token without that right must not stop a deployment, and neither
 * must an unavailable Fly, unless the gateway knows a version that machines must have. Throws
 * `fly-unavailable` then.
 */
export async function secretsNow(
  app: string,
  deps: SecretDeps,
  signal: AbortSignal,
): Promise<SecretsNow> {
  const mark = await deps.store.runtimeSecrets.find(app)
  try {
    const { secrets, version, own } = await readSecrets(app, deps, signal)
    const digests = secrets.map(({ name, digest }) => ({ name, digest }))
    return { version, own, digests: digests.length <= maxSecrets ? digests : null }
  } catch (error) {
    signal.throwIfAborted()
    const mustKnow = mark !== null && error instanceof Problem && error.code === 'fly-unavailable'
    if (mustKnow) throw error
    return { version: mark?.version ?? 0, own: mark?.own ?? {}, digests: null }
  }
}
