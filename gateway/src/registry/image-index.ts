import type { ImageFacts } from '#api/deployment.ts'
import { imageParts } from './image-parts.ts'
import type { Manifest } from './registry.ts'

const indexType = 'application/vnd.oci.image.index.v1+json'

/** How an image was made, said in its manifest, so that it is known wherever the image goes. */
export const builderAnnotation = 'dev.tarmac.way'

/** Images of several platforms (as in `linux/arm64`) under one name. */
export function imageIndex(
  images: { platform: string; manifest: Manifest }[],
  annotations?: Record<string, string>,
): Omit<Manifest, 'digest'> {
  const manifests = images.map(({ platform, manifest: { mediaType, digest, bytes } }) => {
    const [os, architecture, variant] = platform.split('/')
    return {
      mediaType,
      digest,
      size: bytes.length,
      platform: { architecture, os, ...(variant && { variant }) },
    }
  })
  const index = { schemaVersion: 2, mediaType: indexType, manifests, annotations }
  return { mediaType: indexType, bytes: Buffer.from(JSON.stringify(index)) }
}

/** What an image weighs by its manifest: configuration and layers, as they are kept. */
export function imageBytes(manifest: Manifest): number {
  const { config, layers } = imageParts(manifest) ?? { config: null, layers: [] }
  return [config, ...layers].reduce((sum, part) => sum + (part?.size ?? 0), 0)
}

export function imageBuilder(manifest: Manifest): ImageFacts['way'] {
  const way = imageParts(manifest)?.annotations[builderAnnotation]
  return way === 'railpack' || way === 'dockerfile' ? way : undefined
}
