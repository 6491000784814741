import type { Manifest } from '../registry/registry.ts'

type Layer = { digest: string; size: number }
type Parts = { layers?: Layer[]; manifests?: { digest: string }[] }
const partsOf = ({ bytes }: Manifest) => JSON.parse(Buffer.from(bytes).toString()) as Parts

/** What the layers of these images weigh that the app's image before them does not have. */
export async function newBytes(
  images: Manifest[],
  before: string | null,
  manifestOf: (digest: string) => Promise<Manifest | null>,
): Promise<number> {
  const there = new Set<string>()
  for (const digests = before ? [before] : []; digests.length > 0;) {
    const manifest = await manifestOf(digests.pop()!)
    const { layers = [], manifests = [] } = manifest ? partsOf(manifest) : {}
    for (const { digest } of layers) there.add(digest)
    digests.push(...manifests.map(({ digest }) => digest))
  }
  const fresh = new Map(
    images.flatMap((image) => partsOf(image).layers ?? []).map(({ digest, size }) => [digest, size]),
  )
  for (const digest of there) fresh.delete(digest)
  return [...fresh.values()].reduce((sum, size) => sum + size, 0)
}
