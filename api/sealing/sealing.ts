import { z } from 'zod'

/** The key that seals secrets and logins at registries, and what older keys have sealed. */
export const SealingStatus = z.object({
  /** Names the key and reveals nothing of it. Null: the gateway has no key. */
  keyId: z.string().nullable(),
  /** Since when it is the one that seals. */
  since: z.string().nullable(),
  /** All sealed values. */
  values: z.number(),
  /** How many older keys the gateway knows (TARMAC_SECRETS_OLD_KEYS). */
  oldKeys: z.number(),
  /** Values that one of them has sealed, and that are not sealed again yet. */
  withOldKeys: z.number(),
  /**
   * Until then a request with secrets may be repeated whose fingerprint an older key made. Null:
   * there are no older keys, or values need them.
   */
  oldKeysNeededUntil: z.string().nullable(),
  /** Whether the older keys may be removed now. */
  oldKeysMayGo: z.boolean(),
  /** What cannot be opened, and what to do. Null: everything can. */
  problem: z.string().nullable(),
})
export type SealingStatus = z.infer<typeof SealingStatus>

/** For people: one line, or some. */
export function sealingLines(status: SealingStatus): string[] {
  const { keyId, values, oldKeys, withOldKeys, oldKeysNeededUntil, oldKeysMayGo, problem } = status
  const key = keyId === null ? 'no key: TARMAC_SECRETS_KEY is not set' : `key ${keyId}`
  const warning = problem === null ? [] : [`warning: ${problem}`]
  const lines = [`${values} sealed ${values === 1 ? 'value' : 'values'}; ${key}`, ...warning]
  if (oldKeys === 0) return lines
  const named = oldKeys === 1 ? 'the old key' : `${oldKeys} old keys`
  if (withOldKeys > 0)
    return [...lines, `${withOldKeys} still sealed with ${named}: keep TARMAC_SECRETS_OLD_KEYS`]
  if (oldKeysMayGo) return [...lines, `nothing needs ${named}: remove TARMAC_SECRETS_OLD_KEYS`]
  return [
    ...lines,
    `no value needs ${named}; repeated requests may until ${oldKeysNeededUntil}: remove TARMAC_SECRETS_OLD_KEYS then`,
  ]
}
