import { imageParts } from '../registry/image-parts.ts'
import type { Manifest } from '../registry/manifest.ts'

/** An index may name more manifests. Then the result is too high. */
const maxManifests = 32

/** The size in bytes of the layers in these images that the app's previous image does not have. */
export async function newBytes(
  images: Manifest[],
  before: string | null,
  manifestOf: (digest: string) => Promise<Manifest | null>,
): Promise<number> {
  const there = new Set<string>()
  const asked = new Set<string>()

  for (const digests = before ? [before] : []; digests.length > 0 && asked.size < maxManifests;) {
    const next = digests.pop()!
    if (asked.has(next)) continue
    asked.add(next)
    const manifest = await manifestOf(next)
    const { layers, images } = (manifest && imageParts(manifest)) ?? { layers: [], images: [] }
    for (const { digest } of layers) there.add(digest)
    digests.push(...images.map(({ digest }) => digest))
  }

  const fresh = new Map(
    images
      .flatMap((image) => imageParts(image)?.layers ?? [])
      .map(({ digest, size }) => [digest, size]),
  )
  for (const digest of there) fresh.delete(digest)
  return [...fresh.values()].reduce((sum, size) => sum + size, 0)
}
