import type { ImageFacts } from '#api/deployment.ts'
import { imageParts } from './image-parts.ts'
import type { Manifest } from './manifest.ts'
import { digestOf } from './registry.ts'

const indexType = 'application/vnd.oci.image.index.v1+json'

/**
 * The manifest annotation that names the builder of an image. It stays with the image in any
 * registry.
 */
export const builderAnnotation = 'dev.tarmac.builder'
/** Its name on images of earlier gateways. */
const earlierAnnotation = 'dev.tarmac.way'

/** Makes an index of images for several platforms (as in `linux/arm64`). */
export function imageIndex(
  images: { platform: string; manifest: Manifest }[],
  annotations?: Record<string, string>,
): Manifest {
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
  const bytes = Buffer.from(JSON.stringify(index))
  return { digest: digestOf(bytes), mediaType: indexType, bytes }
}

export function imageBuilder(manifest: Manifest): ImageFacts['builder'] {
  const { annotations = {} } = imageParts(manifest) ?? {}
  const builder = annotations[builderAnnotation] ?? annotations[earlierAnnotation]
  return builder === 'railpack' || builder === 'dockerfile' ? builder : undefined
}
