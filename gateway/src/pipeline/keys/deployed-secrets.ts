import type { SecretVersion } from '#api/release.ts'
import type { DeployJob } from '../../deploy/job.ts'
import { secretWords } from '../../commands/runtime/secret-place.ts'
import { changesSince, changesText } from '../../commands/runtime/secret-states.ts'

/**
 * The secrets that every machine of a deployment has: those that did not change while it changed
 * machines. `changed`: a warning about the others, which some machines may lack. `atStart` null: not
 * known, so what Fly says now counts.
 */
export function deployedSecrets(
  { app, recordedApp, options }: Pick<DeployJob, 'app' | 'recordedApp' | 'options'>,
  atStart: SecretVersion[] | null,
  now: SecretVersion[] | null,
): { have: SecretVersion[] | null; changed: string | null } {
  if (!atStart || !now) return { have: now ?? atStart, changed: null }
  const changes = changesSince(atStart, now, {})
  if (changes.length === 0) return { have: now, changed: null }
  const words = secretWords({ app: recordedApp, owner: options.owner, flyApp: app })
  const changed = `Secrets changed on Fly while this deployment changed machines: ${changesText(changes)}. Some machines may lack the change. To give it to all: tarmac secrets deploy ${words}`
  return { have: atStart, changed }
}
