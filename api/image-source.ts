import { z } from 'zod'

/**
 * An image that exists: by name, or what a deployment made, or what a release was; of a release the config and env too.
 * `app` and `owner` name another target's release, where it is not the one's that is deployed to.
 */
export const ImageSource = z.union([
  z.strictObject({ image: z.string().max(500) }),
  z.strictObject({ deployment: z.string().max(100) }),
  z.strictObject({
    release: z.number().int().min(1),
    app: z.string().optional(),
    owner: z.string().nullable().optional(),
  }),
])
export type ImageSource = z.infer<typeof ImageSource>
