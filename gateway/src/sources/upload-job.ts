import { dirname } from 'node:path'
import type { Limits } from './limits.ts'
import { type SpoolCount, SpoolRoom } from './spool-room.ts'

/** What a thread gets of each upload. `path`: where it may write. */
export type UploadJob = {
  path: string
  limits: Limits
  contentDigest: string | undefined
  /** `Upload` adds it. */
  count?: SpoolCount
  /** The digest comes after the body, to a job of kind `upload`. */
  isDigestLate?: boolean
}

/** Where the thread that has the job takes room for what it writes. */
export const roomOf = ({ path, limits, count }: UploadJob): SpoolRoom =>
  new SpoolRoom({ folder: dirname(path), limits, count })
