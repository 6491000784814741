import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { NewDeployment } from '../deployments/store.ts'
import { configOf, type ExistingImageDeps, assertSourceRetained } from './existing-image.ts'

/**
 * A new deployment from an earlier one's kept source and options. With `reuseImage`, or if the earlier
 * one had no source, it deploys the same image. The current lane policy applies.
 */
export async function retryOf(
  previous: Deployment,
  reuseImage: boolean,
  { sources }: Pick<ExistingImageDeps, 'sources'>,
): Promise<Omit<NewDeployment, 'id' | 'secrets'>> {
  const { id, app, source, from, image, requestedImage } = previous
  if (reuseImage && !image)
    throw new Problem(
      'no-image',
      `Deployment ${id} has no image; retry it without reuse-image=true.`,
    )

  const options = { ...previous.options, lane: null, trigger: 'retry' }
  if (!reuseImage && source) {
    await assertSourceRetained(sources, id, source.digest)
    return { app, source, from, image: null, options, resolved: true, retryOf: id }
  }
  // An image that was not copied to its end is copied now: the same, if its digest is known.
  if (!image && requestedImage)
    return { app, source: null, from, requestedImage, options, resolved: true, retryOf: id }
  return {
    app,
    ...(await configOf(previous, sources)),
    image,
    requestedImage,
    options: { ...options, deploy: true },
    resolved: true,
    retryOf: id,
  }
}
