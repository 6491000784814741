import { z } from 'zod'
import { UploadId } from './upload.ts'

/** The digest of a source tree, as `treeDigest` gives it. */
export const TreeDigest = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, 'a tree is named by its digest, sha256: and 64 hex digits')
/** The SHA-256 of a file's content. */
export const ContentHash = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'a file is named by 64 hex digits, the SHA-256 of its content')

/** An entry of a manifest: a `TreeEntry` as JSON. What its path and target may be is checked later. */
const NewTreeEntry = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('file'),
    path: z.string(),
    /** 0o755 or 0o644, as a number. */
    mode: z.union([z.literal(0o755), z.literal(0o644)]),
    sizeBytes: z.number().int().nonnegative(),
    sha256: ContentHash,
  }),
  z.strictObject({ type: z.literal('folder'), path: z.string() }),
  z.strictObject({ type: z.literal('link'), path: z.string(), target: z.string() }),
])

/**
 * The body of `POST /v1/apps/{app}/trees`. `digest` is that of the whole tree. With `base`, a tree
 * that this app has sent, `entries` are only those that are new or changed, and `removed` the paths
 * of `base` that are not in the tree. Without it `entries` are all, in any order.
 */
export const NewTree = z.strictObject({
  digest: TreeDigest,
  base: TreeDigest.optional(),
  entries: z.array(NewTreeEntry),
  removed: z.array(z.string()).optional(),
})
export type NewTree = z.infer<typeof NewTree>

/**
 * The answer to a manifest. `taken`: the tree is on disk, and kept for an hour without a deployment.
 * `missing`: files that the app has to send first, each once, and their size together.
 */
export const TreeAnswer = z.discriminatedUnion('state', [
  z.object({
    state: z.literal('taken'),
    digest: TreeDigest,
    files: z.number(),
    sizeBytes: z.number(),
  }),
  z.object({
    state: z.literal('missing'),
    missing: z.array(ContentHash),
    missingBytes: z.number(),
  }),
])
export type TreeAnswer = z.infer<typeof TreeAnswer>

/** A pack whose bytes are those of a finished upload. */
export const PackedUpload = z.strictObject({ upload: UploadId })

/**
 * The answer to `POST /v1/apps/{app}/packs`: how many files it held. They are synced, and kept for a
 * day without a tree.
 */
export const PackAnswer = z.object({ files: z.number(), sizeBytes: z.number() })
export type PackAnswer = z.infer<typeof PackAnswer>
