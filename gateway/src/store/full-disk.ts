import { Problem } from '#api/problem.ts'

/** SQLITE_FULL, or SQLITE_IOERR_SHMSIZE: no space for the index of the write-ahead log. */
export const isFull = (error: unknown): boolean =>
  [13, 4874].includes((error as { errcode?: number }).errcode ?? 0)

export function noRoom(cause: unknown): Problem {
  const detail =
    'The builder’s volume is full: its records cannot be written, and nothing was changed. Old build caches are being removed: try again in a minute. If it stays so, its operator must give it a larger volume.'
  return new Problem('no-space', detail, { cause, facts: { retryAfterSeconds: 30 } })
}
