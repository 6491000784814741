import type { Registry } from '#api/registries/registry.ts'
import type { SealedSecret } from '../secret-store.ts'

/** A login at a registry as stored. `prefix`: a beginning of repositories; '': all of them. */
export type StoredRegistry = Omit<Registry, 'address'> & {
  host: string
  prefix: string
  /** Its password. Null: it is missing from the records. */
  password: SealedSecret | null
}

/** Keeps logins at registries. Every method is atomic. */
export interface RegistryStore {
  /** By host, prefix and team. */
  all(): Promise<StoredRegistry[]>
  /** False: there is one for the same address and team. */
  add(registry: StoredRegistry & { password: SealedSecret }): Promise<boolean>
  /** Replaces what `rotate` of the API replaces. False: it was removed meanwhile. */
  replace(
    id: string,
    change: Pick<StoredRegistry, 'username' | 'rotatedAt' | 'lastTest'> & {
      password: SealedSecret
    },
  ): Promise<boolean>
  /** Of the login that was rotated then: its result does not concern another. */
  noteTest(of: Pick<StoredRegistry, 'id' | 'rotatedAt' | 'lastTest'>): Promise<void>
  noteUse(id: string, at: string): Promise<void>
  /** Removes its password too. False: there is none. */
  remove(id: string): Promise<boolean>
}
