import { z } from 'zod'

/**
 * An existing image: by name, of a deployment, or of a release. A release also gives its config
 * and env. `app` and `owner` name the target of the release, if it is not the target of the
 * deployment.
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
