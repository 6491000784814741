import { z } from 'zod'

/** The id of a resumable upload: 128 random bits. */
export const UploadId = z
  .string()
  .regex(/^[\da-f]{32}$/, 'the last part of the Location of an upload')

/** What never changes about a resumable upload. */
export const UploadFacts = z.object({
  id: UploadId,
  /** Its source may be deployed to this app alone. */
  app: z.string(),
  /** Whose it is: see `uploaderOf`. */
  uploader: z.string(),
  /** The team whose quotas count it. Null: none. */
  team: z.string().nullable(),
  lengthBytes: z.number(),
  /** The header `Upload-Metadata`, as it was sent. */
  metadata: z.string().nullable(),
  /** The header `Repr-Digest`: the digest of the whole, checked when it is deployed. */
  digest: z.string().nullable(),
})
export type UploadFacts = z.infer<typeof UploadFacts>

/** A resumable upload. `offsetBytes`: how much of it is synced to disk. */
export type KeptUpload = UploadFacts & { offsetBytes: number; expiresAt: Date }

/** What the app, the caller's other uploads and the disk decide about a new upload. */
export type NewUpload = Pick<UploadFacts, 'app' | 'lengthBytes' | 'metadata' | 'digest'>

/** The checksum of one part of an upload, of the algorithms that tus names. */
export type UploadChecksum = { algorithm: 'sha1' | 'sha256'; digest: Uint8Array }
