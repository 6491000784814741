import type { SealedSecret } from '../secret-store.ts'

/** One sealed value, and where it belongs. */
export type SealedValue = SealedSecret & { owner: string }

/** All sealed values of the records, whoever owns them. Every method is atomic. */
export interface SealedStore {
  /** How many values each key has sealed, by the key's id. */
  countByKey(): Promise<Map<string, number>>
  /**
   * Values that another key than this one has sealed, by owner and name. `after`: the last value
   * that was read; null: from the beginning.
   */
  sealedByOthers(
    keyId: string,
    after: Pick<SealedValue, 'owner' | 'name'> | null,
    limit: number,
  ): Promise<SealedValue[]>
  /**
   * Replaces the sealed text of these values. A value that was changed or removed meanwhile stays as
   * it is. Returns how many were replaced.
   */
  reseal(values: readonly { before: SealedValue; after: SealedSecret }[]): Promise<number>
  /** Notes the key that seals now. Returns since when it is the one (ISO 8601, UTC). */
  useKey(keyId: string): Promise<string>
}
