import { Problem } from '#api/problem.ts'

/**
 * What a store keeps of one thing at most. Bytes are those of its JSON. What programs need is refused as
 * `record-too-large`; texts for people are cut.
 */
export const sizeLimits = {
  /** Ids, names of apps, owners and secrets, and idempotency keys. */
  nameBytes: 1000,
  /** Options of a deployment, or settings of an app. */
  optionsBytes: 512 * 1024,
  /** The images that a build started from. */
  basesBytes: 256 * 1024,
  /** The whole record of a deployment, without its rollout. */
  recordBytes: 2 * 2 ** 20,
  /** What the end of a deployment adds to a record that is larger already. */
  endBytes: 256 * 1024,
  /** The deploy engine's notes of one deployment, packed (see `packJson`). They are erased at its end. */
  rolloutBytes: 16 * 2 ** 20,
  /** One release, packed. */
  releaseBytes: 16 * 2 ** 20,
  /** A rollout over many targets. */
  targetsBytes: 8 * 2 ** 20,
  secretBytes: 128 * 1024,
  /** Output of a step in one event. */
  logChars: 2 ** 20,
  /** Any other text for people, as the detail of a problem. */
  textChars: 16 * 1024,
  /** Why somebody cancelled, and who. */
  cancelChars: 1000,
  /** What a problem says beside its detail. */
  factsBytes: 64 * 1024,
  /** What one page of a list shows. It has one record at least. */
  pageBytes: 4 * 2 ** 20,
} as const

/** Deployments that have not ended, and the bytes of their records, as a start and each look at the queue can take. */
export const queueLimits = {
  app: { count: 10_000, bytes: 256 * 2 ** 20 },
  all: { count: 20_000, bytes: 512 * 2 ** 20 },
} as const

/** Refuses what is larger than a store keeps. `what` names it, as in "The options". */
export function keepWithin<T extends string | Uint8Array>(
  what: string,
  value: T,
  limitBytes: number,
): T {
  // A UTF-16 unit is at most 3 bytes of UTF-8, so most texts need no counting.
  const sizeBytes = value.length * 3 <= limitBytes ? 0 : Buffer.byteLength(value)
  if (sizeBytes <= limitBytes) return value
  const detail = `${what} would take ${sizeBytes} bytes in the records of the gateway, which keep at most ${limitBytes}. Make it smaller and send it again.`
  throw new Problem('record-too-large', detail, { facts: { sizeBytes, limitBytes } })
}

/** A text for people, cut where it is too long. */
export function cutText(text: string, limitChars: number): string {
  if (text.length <= limitChars) return text
  return `${text.slice(0, limitChars)}… (${text.length - limitChars} more characters are left out)`
}
