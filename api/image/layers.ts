import { z } from 'zod'

/**
 * One layer of an image, as stored: compressed. `madeBy`: the instruction that made it, as the image
 * says it. Null: it does not say.
 */
export const ImageLayer = z.object({
  digest: z.string(),
  sizeBytes: z.number(),
  madeBy: z.string().nullable(),
})
export type ImageLayer = z.infer<typeof ImageLayer>

/**
 * The layers of a deployment's image, in their order. None of an image that machines get from a
 * registry of others. `reference`: null if there is no image.
 */
export const ImageLayers = z.object({
  reference: z.string().nullable(),
  layers: z.array(ImageLayer),
})
export type ImageLayers = z.infer<typeof ImageLayers>
