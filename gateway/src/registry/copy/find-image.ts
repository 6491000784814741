import { z } from 'zod'
import { inMb } from '#api/text/in-mb.ts'
import { Problem } from '#api/problem.ts'
import { imageParts, imageTypes, indexTypes, refuseUnusable } from '../image-parts.ts'
import type { Manifest } from '../manifest.ts'
import { digestOf } from '../registry.ts'
import { type ImageReference, referenceText } from '#api/image/reference.ts'
import { maxSmallBytes, type RegistrySession, saidIn } from './session.ts'

/** A blob of an image, as its manifest names it. Size in bytes. */
export type Blob = { digest: string; size: number; mediaType?: string | undefined }

/** An image for one platform, checked before anything of it is copied. */
export type FoundImage = {
  /** What the registry has under the name that was asked for: the image's own digest, or an index. */
  named: string
  manifest: Manifest
  config: Blob
  configBytes: Buffer
  layers: Blob[]
  sizeBytes: number
  /** The TCP port that it exposes. Null: none, or several. */
  port: number | null
}

const maxDepth = 3
const maxLayers = 1000

type Wanted = {
  image: ImageReference
  /** As in `linux/amd64`. */
  platform: string
  /** The digest that the name had when it was first asked for. */
  pinned: string | null
  maxBytes: number
}

/**
 * Finds an image and, of an index, the one for the platform. Throws `image-not-found` and
 * `image-unusable`, and what the session throws.
 */
export async function findImage(
  from: RegistrySession,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<FoundImage> {
  const { image, platform, pinned } = wanted
  const text = referenceText(image)
  const first = await readManifest(from, image, pinned ?? image.digest ?? image.tag!, signal)

  let manifest = first
  for (let depth = 0; ; depth++) {
    refuseUnusable(text, manifest, platform)
    if (!indexTypes.includes(manifest.mediaType)) break
    if (depth === maxDepth) throw unusable(text, `it has indexes within indexes. Name one image`)
    manifest = await readManifest(from, image, forPlatform(manifest, platform), signal)
  }

  const { config, layers } = imageParts(manifest)!
  const blobs = [config!, ...layers]
  if (layers.length > maxLayers)
    throw unusable(text, `it has ${layers.length} layers; the limit is ${maxLayers}`)
  const strange = blobs.find(({ digest }) => !/^sha256:[\da-f]{64}$/.test(digest))
  if (strange)
    throw unusable(text, `a part of it has no sha256 digest (${strange.digest.slice(0, 100)})`)

  const sizeBytes = blobs.reduce((sum, { size }) => sum + size, 0)
  if (sizeBytes > wanted.maxBytes)
    throw unusable(
      text,
      `it has ${inMb(sizeBytes)}, as stored; the limit is ${inMb(wanted.maxBytes)} (TARMAC_MAX_IMAGE_MIB of the gateway)`,
    )

  const configBytes = await readConfig(from, image, config!, signal)
  const { platform: has, port } = configOf(configBytes)
  if (has !== null && !isFor(has, platform))
    throw unusable(text, `it is for ${has}, and the machines are ${platform}. Name one for these`)
  return { named: first.digest, manifest, config: config!, configBytes, layers, sizeBytes, port }
}

async function readManifest(
  from: RegistrySession,
  image: ImageReference,
  reference: string,
  signal: AbortSignal,
): Promise<Manifest> {
  const { repository } = image
  const answer = await from.ask(
    {
      method: 'GET',
      url: `/v2/${repository}/manifests/${reference}`,
      scopes: [`repository:${repository}:pull`],
      headers: { accept: imageTypes.join(', ') },
    },
    signal,
  )
  const { statusCode, headers, bytes } = answer
  if (statusCode === 404)
    throw new Problem(
      'image-not-found',
      `${image.host} has no image ${referenceText(image)}${reference.includes(':') && reference !== image.digest ? ` (${reference})` : ''}: ${saidIn(bytes) || 'not found'}. Check the name and the tag.`,
      { facts: { image: referenceText(image) } },
    )
  if (statusCode !== 200)
    throw from.refusals.unavailable(`it answered ${statusCode} for ${repository}:${reference}`)

  const digest = digestOf(bytes)
  if (reference.includes(':') && digest !== reference)
    throw from.refusals.unavailable(`for ${reference} it returned ${digest}, another manifest`)
  const type = String(headers['content-type'] ?? '')
    .split(';')[0]!
    .trim()
  return { digest, mediaType: imageTypes.includes(type) ? type : (typeIn(bytes) ?? type), bytes }
}

/** The digest of the image of an index that fits best: of this platform, or of a variant of it. */
function forPlatform(index: Manifest, platform: string): string {
  const { images } = imageParts(index)!
  const exact = images.find((image) => image.platform === platform)
  const variant = images.find((image) => image.platform?.startsWith(`${platform}/`))
  return (exact ?? variant ?? images.find((image) => image.platform === null))!.digest
}

/** The configuration is small. It says for which platform an image is that no index names. */
async function readConfig(
  from: RegistrySession,
  image: ImageReference,
  { digest, size }: Blob,
  signal: AbortSignal,
): Promise<Buffer> {
  const text = referenceText(image)
  if (size > maxSmallBytes) throw unusable(text, `its configuration has ${size} bytes`)
  const { repository } = image
  const { statusCode, bytes } = await from.ask(
    {
      method: 'GET',
      url: `/v2/${repository}/blobs/${digest}`,
      scopes: [`repository:${repository}:pull`],
    },
    signal,
  )
  if (statusCode === 404) throw missingBlob(text, digest)
  if (statusCode !== 200 || bytes.length !== size || digestOf(bytes) !== digest)
    throw from.refusals.unavailable(`for ${digest} it returned something else`)
  return bytes
}

const text = z.string().nullish().catch(null)
const Ports = z.object({ ExposedPorts: z.record(z.string(), z.unknown()).nullish().catch(null) })
const Config = z
  .object({ os: text, architecture: text, variant: text, config: Ports.nullish().catch(null) })
  .catch({ os: null, architecture: null, variant: null, config: null })
const Typed = z.object({ mediaType: z.string() })

/** What the configuration of an image says. Old images may say less. */
function configOf(bytes: Buffer): { platform: string | null; port: number | null } {
  const { os, architecture, variant, config } = Config.parse(jsonOf(bytes))
  const exposed = Object.keys(config?.ExposedPorts ?? {}).flatMap((name) => {
    const [, port] = /^(\d{1,5})(?:\/tcp)?$/.exec(name) ?? []
    return port === undefined ? [] : [Number(port)]
  })
  return {
    platform: os && architecture ? [os, architecture, variant].filter(Boolean).join('/') : null,
    port: exposed.length === 1 ? exposed[0]! : null,
  }
}

const typeIn = (manifest: Buffer) => Typed.safeParse(jsonOf(manifest)).data?.mediaType

const isFor = (has: string, platform: string) => has === platform || has.startsWith(`${platform}/`)

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return null
  }
}

export const missingBlob = (image: string, digest: string) =>
  unusable(
    image,
    `its registry does not have a part of it (${digest}). Its layers may be kept elsewhere, from where the gateway takes none. Push it again, with all its layers`,
  )

const unusable = (image: string, why: string) =>
  new Problem('image-unusable', `The image ${image} cannot run on a machine: ${why}.`, {
    facts: { image },
  })
