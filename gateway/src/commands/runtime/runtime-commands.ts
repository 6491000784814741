import type { EnvAnswer, EnvList } from '#api/runtime/env.ts'
import type { RuntimeSecrets, SecretsAnswer } from '#api/runtime/secrets.ts'
import type { OwnerTarget } from '../../deployments/owners/owner-app-store.ts'
import type { Principal } from '../../callers/principal.ts'

/** By name: a new value, or null to remove it. `deploy`: make new releases of the targets at once. */
export type RuntimeChange = { values: ReadonlyMap<string, string | null>; deploy: boolean }

/**
 * What an app's machines get besides their image and config: secrets, kept by Fly, and variables. An
 * owner has secrets of its own if it has an app of its own: see `secretPlaceOf`.
 */
export type RuntimeCommands = {
  /** No command returns the value of a secret. */
  secrets(caller: Principal, target: OwnerTarget): Promise<RuntimeSecrets>
  /** All of the change, or none of it. Throws `app-not-found` and `secret-invalid`. */
  changeSecrets(
    caller: Principal,
    target: OwnerTarget,
    change: RuntimeChange,
  ): Promise<SecretsAnswer>
  /** Makes new releases of the targets that lack a change. */
  deploySecrets(caller: Principal, target: OwnerTarget): Promise<SecretsAnswer>
  env(caller: Principal, app: string): Promise<EnvList>
  /** Changes variables in the app's settings. */
  changeEnv(caller: Principal, app: string, change: RuntimeChange): Promise<EnvAnswer>
}
