import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { NewDeployment } from '../deployments/store.ts'
import { configOf, type ExistingImageDeps, assertSourceRetained } from './existing-image.ts'

/** With the same image, or from the same source with every step run again. */
export type RetryHow = { reuseImage: boolean; rebuild?: boolean }

/**
 * A new deployment from an earlier one's kept source and options. With `reuseImage`, or if the earlier
 * one had no source, it deploys the same image. The current lane policy applies.
 */
export async function retryOf(
  previous: Deployment,
  { reuseImage, rebuild = false }: RetryHow,
  { sources }: Pick<ExistingImageDeps, 'sources'>,
): Promise<Omit<NewDeployment, 'id' | 'secrets'>> {
  const { id, app, source, from, image, requestedImage } = previous
  if (reuseImage && !image)
    throw new Problem(
      'no-image',
      `Deployment ${id} has no image; retry it without the option reuse-image: tarmac retry ${id}`,
    )

  if (rebuild && (reuseImage || !source))
    throw new Problem(
      'option-invalid',
      reuseImage
        ? 'The options rebuild and reuse-image exclude each other; choose one.'
        : `Deployment ${id} has no source that could be built again; retry it without the option rebuild: tarmac retry ${id}`,
    )

  const again = { ...previous.options, lane: null, trigger: 'retry', 'ci-run': null }
  const options = rebuild ? { ...again, rebuild } : again
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
