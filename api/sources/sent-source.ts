import { z } from 'zod'
import { TreeDigest } from './tree-calls.ts'
import { UploadId } from './upload.ts'

/** A source that was sent before: a finished upload of the caller, or a tree that the app has sent. */
export const SentSource = z.union([
  z.strictObject({ upload: UploadId }),
  z.strictObject({ tree: TreeDigest }),
])
export type SentSource = z.infer<typeof SentSource>
