import { Problem } from '#api/problem.ts'

/** SQLITE_FULL, or SQLITE_IOERR_SHMSIZE: no space for the index of the write-ahead log. */
export const isFull = (error: unknown): boolean => [13, 4874].includes(codeOf(error))

/** SQLITE_BUSY: another process has the database. */
export const isBusy = (error: unknown): boolean => codeOf(error) === 5

/** What an error says of a damaged file: SQLITE_CORRUPT or SQLITE_NOTADB. Null: another error. */
export const damageIn = (error: unknown): string | null =>
  error instanceof Error && [11, 26].includes(codeOf(error) & 0xff) ? error.message : null

/** SQLite's result code, with its details. 0: there is none. */
const codeOf = (error: unknown): number =>
  error instanceof Error && 'errcode' in error ? Number(error.errcode) : 0

export function noRoom(cause: unknown): Problem {
  const detail =
    'The gateway’s volume is full: its records cannot be written, and nothing was changed. Old build caches are being removed. Try again in a minute. If this happens again, its operator must give it a larger volume.'
  return new Problem('no-space', detail, { cause, facts: { retryAfterSeconds: 30 } })
}
