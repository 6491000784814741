import type { Limits } from './limits.ts'

/** What a thread gets of each upload. `path`: where it may write. */
export type UploadJob = {
  path: string
  limits: Limits
  contentDigest: string | undefined
  /** The digest comes after the body, to a job of kind `upload`. */
  isDigestLate?: boolean
}
