import { Problem } from '#api/problem.ts'

/**
 * Maximum size of each thing that a store keeps. Bytes are those of its JSON. Larger data for
 * programs is refused as `record-too-large`; longer texts for people are cut.
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
  /** What a deployment's end may add to a record that is already too large. */
  endBytes: 256 * 1024,
  /**
   * The deploy engine's progress of one deployment, packed (see `packJson`). Erased when the
   * deployment ends.
   */
  rolloutBytes: 16 * 2 ** 20,
  /** One release, packed. */
  releaseBytes: 16 * 2 ** 20,
  /** A rollout over many targets. */
  targetsBytes: 8 * 2 ** 20,
  secretBytes: 128 * 1024,
  /** What a token may be used for. */
  tokenBytes: 32 * 1024,
  /** Output of a step in one event. */
  logChars: 2 ** 20,
  /** Any other text for people, such as the detail of a problem. */
  textChars: 16 * 1024,
  /** Each of: who cancelled, and why. */
  cancelChars: 1000,
  /** All facts of a problem besides its detail. */
  factsBytes: 64 * 1024,
  /** One page of a list. A page has at least one record. */
  pageBytes: 4 * 2 ** 20,
} as const

/**
 * Limits for the number and record bytes of deployments that have not ended. A start and each look
 * at the queue must be able to process them all.
 */
export const queueLimits = {
  app: { count: 10_000, bytes: 256 * 2 ** 20 },
  all: { count: 20_000, bytes: 512 * 2 ** 20 },
} as const

type QueueSize = { count: number; bytes: number }

/**
 * Throws `queue-full` if the queue of an app or of the gateway has no room for one more record of
 * this size.
 */
export function assertQueueHasRoom(
  app: string,
  sizes: Record<'app' | 'all', QueueSize>,
  sizeBytes: number,
): void {
  for (const [scope, whose] of [
    ['app', `of ${app}`],
    ['all', 'of the gateway'],
  ] as const) {
    const { count, bytes } = sizes[scope]
    const limit = queueLimits[scope]
    if (count < limit.count && bytes + sizeBytes <= limit.bytes) continue
    const detail = `${count} deployments ${whose} have not ended, and their records have ${bytes} bytes. At most ${limit.count} may wait, with ${limit.bytes} bytes. Wait until some have ended, or cancel the ones that are no longer needed. Then send this again.`
    throw new Problem('queue-full', detail, {
      facts: { count, bytes, limitCount: limit.count, limitBytes: limit.bytes },
    })
  }
}

/**
 * Throws `record-too-large` if the value exceeds the limit. `what` names the value, as in "The
 * options".
 */
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

/** Cuts a text for people if it is too long. */
export function cutText(text: string, limitChars: number): string {
  if (text.length <= limitChars) return text
  return `${text.slice(0, limitChars)}… (${text.length - limitChars} more characters are left out)`
}
