import { imageParts } from '../registry/image-parts.ts'

/** The bytes of a manifest. */
type Manifest = { bytes: Uint8Array }

/** An index may name more manifests. Then the number of new bytes is too high. */
const maxManifests = 32

/** The size of an image in bytes by its manifest: configuration and layers, as stored. */
export function imageBytes(manifest: Manifest): number {
  const { config, layers } = imageParts(manifest) ?? { config: null, layers: [] }
  return [config, ...layers].reduce((sum, part) => sum + (part?.size ?? 0), 0)
}

/** The size in bytes of the layers in these images that the app's previous image does not have. */
export async function newBytes(
  images: Manifest[],
  before: string | null,
  manifestOf: (digest: string) => Promise<Manifest | null>,
): Promise<number> {
  const known = new Set<string>()
  const seen = new Set<string>()

  for (const digests = before ? [before] : []; digests.length > 0 && seen.size < maxManifests;) {
    const next = digests.pop()!
    if (seen.has(next)) continue
    seen.add(next)
    const manifest = await manifestOf(next)
    const { layers, images } = (manifest && imageParts(manifest)) ?? { layers: [], images: [] }
    for (const { digest } of layers) known.add(digest)
    digests.push(...images.map(({ digest }) => digest))
  }

  const fresh = new Map(
    images
      .flatMap((image) => imageParts(image)?.layers ?? [])
      .map(({ digest, size }) => [digest, size]),
  )
  for (const digest of known) fresh.delete(digest)
  return [...fresh.values()].reduce((sum, size) => sum + size, 0)
}
