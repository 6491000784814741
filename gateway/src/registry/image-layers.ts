import { z } from 'zod'
import type { ImageLayer } from '#api/image/layers.ts'
import { imageParts } from './image-parts.ts'
import type { Registry } from './registry.ts'

type LayerSource = Pick<Registry, 'manifest' | 'blob'>

const maxLayers = 256
const maxConfigBytes = 2 ** 20
const textChars = 300

/**
 * Reads the layers of an image, and from its configuration what made each of them. Of an index, those
 * of its first image. Null: the registry does not have the image.
 */
export async function readLayers(
  registry: LayerSource,
  { repository, digest }: { repository: string; digest: string },
  signal: AbortSignal,
): Promise<ImageLayer[] | null> {
  const first = await registry.manifest(repository, digest, signal)
  if (!first) return null
  const image = imageParts(first)?.images.find(({ platform }) => platform !== 'unknown/unknown')
  const manifest = image ? await registry.manifest(repository, image.digest, signal) : first
  const parts = manifest && imageParts(manifest)
  if (!parts) return null

  const { config, layers } = parts
  const bytes =
    config && config.size <= maxConfigBytes
      ? await registry.blob(repository, config.digest, signal)
      : null
  const made = bytes ? madeByOf(bytes) : []
  return layers.slice(0, maxLayers).map((layer, at) => ({
    digest: layer.digest,
    sizeBytes: layer.size,
    // Without an entry for each layer, none can be trusted to belong to its own.
    madeBy: made.length === layers.length ? made[at]! : null,
  }))
}

const Config = z.object({
  history: z.array(
    z.object({
      created_by: z.string().nullish().catch(null),
      empty_layer: z.boolean().nullish().catch(null),
    }),
  ),
})

/** For each layer the instruction, as the configuration of an image has it (OCI image-spec, `history`). */
export function madeByOf(config: Uint8Array): (string | null)[] {
  const parsed = Config.safeParse(jsonOf(config))
  return (parsed.data?.history ?? [])
    .filter((entry) => entry.empty_layer !== true)
    .map((entry) => (entry.created_by ? plainInstruction(entry.created_by) : null))
}

/** Without what builders put around it: `RUN /bin/sh -c make # buildkit`. */
const plainInstruction = (text: string): string =>
  text
    .slice(0, textChars)
    .replace(/^(?:RUN )?\/bin\/sh -c (#\(nop\) +)?/, (_, isOther?: string) =>
      isOther === undefined ? 'RUN ' : '',
    )
    .replace(/ # buildkit$/, '')

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString())
  } catch {
    return null
  }
}
