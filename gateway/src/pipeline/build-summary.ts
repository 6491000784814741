import type { Layer, Registry } from '../registry/registry.ts'

type Built = { app: string; digest: string; steps: number; cached: number; ms: number }

/** A build in one line: `14 steps, 11 cached, 3 run, 8.4 s; image 131 MB, 12 MB new`, against the app's image before it. */
export async function buildSummary(
  { app, digest, steps, cached, ms }: Built,
  previousDigest: string | null,
  registry: Registry,
  signal: AbortSignal,
): Promise<string> {
  const layersOf = (digest: string) => registry.layers(app, digest, signal)
  const [layers, previous] = await Promise.all([layersOf(digest), previousDigest ? layersOf(previousDigest) : null])
  const there = new Set(previous?.map((layer) => layer.digest))
  const fresh = layers?.filter((layer) => !there.has(layer.digest))
  const sizes = layers && fresh ? `; image ${megabytes(layers)}, ${megabytes(fresh)} new` : ''
  return `${steps} steps, ${cached} cached, ${steps - cached} run, ${(ms / 1000).toFixed(1)} s${sizes}`
}

function megabytes(layers: readonly Layer[]): string {
  const size = layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) / 1e6
  return `${size.toFixed(size > 0 && size < 10 ? 1 : 0)} MB`
}
