import type { SecretVersion } from '#api/release.ts'
import { digestsOf, readSecrets, type SecretDeps } from './read-secrets.ts'
import { withoutValues } from './without-values.ts'

type Change = { app: string; flyId: string | null; values: ReadonlyMap<string, string | null> }

/**
 * Sets and removes secrets in Fly's store, all or none, and notes the version that machines must have
 * from now on. Returns the app's secrets before and after.
 */
export async function applySecrets(
  { app, flyId, values }: Change,
  deps: SecretDeps,
  signal: AbortSignal,
): Promise<{ before: SecretVersion[]; now: SecretVersion[] }> {
  const { runtimeSecrets } = deps.store
  const { secrets: before } = await readSecrets(app, deps, signal)

  // If the gateway dies now, the next look finds out what came of the change.
  const open = Object.fromEntries(Array.from(values.keys(), (name) => [name, '']))
  await runtimeSecrets.note(app, { flyId, version: 0, own: open })
  const answer = await withoutValues(values, () => deps.fly.changeSecrets(app, values, signal))
  const now = [
    ...before.filter(({ name }) => !values.has(name)),
    ...(answer.secrets ?? []).filter(({ name }) => values.has(name)),
  ]
  const own = digestsOf(values.keys(), now)
  await runtimeSecrets.note(app, { flyId, version: answer.version, own })
  return { before, now }
}
