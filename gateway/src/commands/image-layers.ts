import type { ImageLayers } from '#api/image/layers.ts'
import { parseReference } from '#api/image/reference.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import { readLayers } from '../registry/image-layers.ts'
import type { Registry } from '../registry/registry.ts'
import { findDeployment } from './deployments.ts'
import { imageGone } from './existing-image.ts'

export type ImageLayersDeps = {
  store: Pick<DeploymentStore, 'find'>
  registry: Pick<Registry, 'manifest' | 'blob'>
  registryHost: string
}

/**
 * The layers of a deployment's image, as the gateway's registry has them now: none of an image that
 * machines get from another registry. Throws `image-gone`.
 */
export async function imageLayers(
  id: string,
  { store, registry, registryHost }: ImageLayersDeps,
  signal: AbortSignal,
): Promise<ImageLayers> {
  const { image } = await findDeployment(store, id)
  if (!image) return { reference: null, layers: [] }
  const { reference, digest } = image
  const { host, repository } = parseReference(reference)
  if (host !== registryHost) return { reference, layers: [] }
  const layers = await readLayers(registry, { repository, digest }, signal)
  if (!layers) throw imageGone(reference)
  return { reference, layers }
}
