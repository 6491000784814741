import { z } from 'zod'

/**
 * An existing image: by name, of a deployment, or of a release (`newest`: the last one). A release
 * also gives its config and env. `app` and `owner` name the target of the release, if it is not the
 * target of the deployment.
 */
export const ImageSource = z.union([
  z.strictObject({ image: z.string().max(500) }),
  z.strictObject({ deployment: z.string().max(100) }),
  z.strictObject({
    release: z.union([z.number().int().min(1), z.literal('newest')]),
    app: z.string().optional(),
    owner: z.string().nullable().optional(),
  }),
])
export type ImageSource = z.infer<typeof ImageSource>

/**
 * An image that was not built but asked for by name. `reference` is in full, with host and tag.
 * `digest`: what its registry had under that name when the gateway first asked. Null: it has not
 * asked yet.
 */
export const RequestedImage = z.object({ reference: z.string(), digest: z.string().nullable() })
export type RequestedImage = z.infer<typeof RequestedImage>
