import { z } from 'zod'
import { UploadId } from './upload.ts'

/** A source that its caller has sent before: a finished resumable upload. */
export const SentSource = z.strictObject({ upload: UploadId })
export type SentSource = z.infer<typeof SentSource>
