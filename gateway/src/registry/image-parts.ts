import { z } from 'zod'
import { Problem } from '#api/problem.ts'
import type { Manifest } from './manifest.ts'

const Part = z.object({
  mediaType: z.string().optional(),
  digest: z.string().default(''),
  size: z.int().min(0).catch(0),
})
const Platform = z.object({
  os: z.string(),
  architecture: z.string(),
  variant: z.string().optional(),
})
/** For an image without layers, BuildKit writes null instead of an empty list. */
const listOf = <T extends z.ZodType>(item: T) => z.array(item).nullish()
const Parts = z.object({
  config: Part.nullish(),
  layers: listOf(Part),
  manifests: listOf(z.object({ digest: z.string(), platform: Platform.nullish() })),
  annotations: z.record(z.string(), z.string()).nullish().catch(null),
})

/** The parts of an image by its manifest, or the images that an index names. Sizes in bytes. */
type ImageParts = {
  config: z.infer<typeof Part> | null
  layers: z.infer<typeof Part>[]
  images: { digest: string; platform: string | null }[]
  annotations: Record<string, string>
}

const manifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]
export const indexTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]
const configTypes = [
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
]
/** The types that requests to a registry accept. */
export const imageTypes = [...manifestTypes, ...indexTypes]

/** Parses a manifest. Null if this gateway does not understand it. */
export function imageParts({ bytes }: Pick<Manifest, 'bytes'>): ImageParts | null {
  const parsed = Parts.safeParse(jsonOf(bytes))
  if (!parsed.success) return null
  const { config, layers, manifests, annotations } = parsed.data
  const images = (manifests ?? []).map(({ digest, platform }) => {
    const { os, architecture, variant } = platform ?? {}
    return {
      digest,
      platform: platform ? [os, architecture, variant].filter(Boolean).join('/') : null,
    }
  })
  return { config: config ?? null, layers: layers ?? [], images, annotations: annotations ?? {} }
}

/**
 * Throws `image-unusable` if no machine of this platform (as in `linux/amd64`) can run the image.
 * An index must name an image for the platform. Only that image's own manifest shows whether it has
 * layers.
 */
export function refuseUnusable(reference: string, manifest: Manifest, platform: string): void {
  const refuse = (why: string) =>
    new Problem('image-unusable', `The image ${reference} cannot run on a machine: ${why}`, {
      facts: { image: reference, mediaType: manifest.mediaType.slice(0, 200) },
    })
  const parts = imageParts(manifest)
  if (!parts || !imageTypes.includes(manifest.mediaType))
    throw refuse('its manifest is not of a known kind. Push it again as an OCI or Docker image.')

  if (indexTypes.includes(manifest.mediaType)) {
    const fits = parts.images.some(
      (image) =>
        image.platform === null ||
        image.platform === platform ||
        image.platform.startsWith(`${platform}/`),
    )
    if (fits) return
    const has = parts.images.map((image) => image.platform).slice(0, 20)
    throw refuse(
      `it has nothing for ${platform}, only for ${has.join(', ') || 'no platform'}. Build it for ${platform}.`,
    )
  }

  if (parts.layers.length === 0)
    throw refuse(
      'it has no files (no layer). Add a COPY, ADD or RUN to the last stage of its Dockerfile.',
    )
  if (!parts.config || !configTypes.includes(parts.config.mediaType ?? configTypes[0]!))
    throw refuse(
      'it has no image configuration, so it is an artifact of another kind. Name an image of a program.',
    )
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString())
  } catch {
    return null
  }
}
