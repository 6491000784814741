import type {
  NewRegistry,
  Registry,
  RegistryRotation,
  RegistryTest,
} from '#api/registries/registry.ts'
import type { Principal } from '../../callers/principal.ts'

/**
 * Logins at registries. Their passwords are never shown again. An administrator of a team sees and
 * changes those of the team; those of all teams belong to administrators without a limit. A login is
 * named by its id or its address. Throws `registry-not-found`.
 */
export type RegistryCommands = {
  list(caller: Principal): Promise<Registry[]>
  /**
   * Throws `registry-invalid`, `registry-address-forbidden`, `registry-exists`, and
   * `registry-login-refused` when the registry does not accept it: then nothing is stored.
   */
  add(caller: Principal, wanted: NewRegistry): Promise<Registry>
  /** Tries a login now. The verdict is in `lastTest`. */
  test(caller: Principal, name: string, how: RegistryTest): Promise<Registry>
  /** Replaces the password. Throws `registry-login-refused`: then the one before stays. */
  rotate(caller: Principal, name: string, change: RegistryRotation): Promise<Registry>
  /** Returns what it was. */
  remove(caller: Principal, name: string): Promise<Registry>
}
