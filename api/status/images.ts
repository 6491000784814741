import { z } from 'zod'

/** An image that releases need and the registry does not have. */
export const MissingImage = z.object({
  /** As in the release: `host/repository@digest`. */
  reference: z.string(),
  app: z.string(),
  /** Whose releases need it: the app's own, or an owner's. */
  releases: z.array(
    z.object({ app: z.string(), owner: z.string().nullable(), number: z.number() }),
  ),
  /** Why it could not be pushed again. */
  why: z.string(),
  missingSince: z.string(),
})
export type MissingImage = z.infer<typeof MissingImage>

/** The daily check of the images of all kept releases. */
export const ImagesStatus = z.object({
  /** The end of the last complete check. Null: there was none yet. */
  checkedAt: z.string().nullable(),
  running: z.boolean(),
  /** How many images the last complete check looked for. */
  checked: z.number(),
  missing: z.array(MissingImage),
  /** Why the last check did not come to its end, such as a registry that did not answer. */
  problem: z.string().nullable(),
})
export type ImagesStatus = z.infer<typeof ImagesStatus>
