import { Problem } from '#api/problem.ts'
import { imageTags } from '../../build/build-image.ts'
import type { Built } from '../../build/build-request.ts'
import { ownPlatform } from '../../build/platforms.ts'
import { resolveDesired } from '../../deploy/config/resolve-desired.ts'
import type { ImageCopier } from '../../registry/copy/image-copier.ts'
import { parseReference, referenceText } from '../../registry/copy/reference.ts'
import { ensureApp, type EnsureAppDeps } from '../ensure-app.ts'
import type { Analysis, TakeInput } from '../steps.ts'

type TakeDeps = EnsureAppDeps & {
  copier: Pick<ImageCopier, 'take'>
  registryHost: string
  region: string
}

/**
 * Takes an image to where machines get it. `isOfSource`: fly.toml names it. Whoever sends a source
 * may not be allowed to read other apps, so it may name none of their images.
 */
export async function takeImage(
  { deployment, emit, pushing, pinned, signal }: TakeInput,
  { reference, isOfSource }: { reference: string; isOfSource: boolean },
  { copier, registryHost }: Pick<TakeDeps, 'copier' | 'registryHost'>,
): Promise<Built> {
  const { app, requestedImage: known } = deployment
  const parsed = parseReference(reference)
  if (isOfSource && parsed.host === registryHost && parsed.repository !== app)
    throw new Problem(
      'image-forbidden',
      `[build] image in fly.toml names ${reference}, which is an image of another app. To deploy it here: tarmac promote ${parsed.repository} --to ${app}`,
      { facts: { image: reference } },
    )

  const text = referenceText(parsed)
  const digest = known?.reference === text ? known.digest : null
  const image = { reference: text, digest }
  const tags = imageTags(deployment)
  const request = { app, image, tags, platform: ownPlatform, pinned, pushing, emit }
  return { image: await copier.take(request, signal), bases: {} }
}

/** The same for a deployment without a source. Checks first what can be known before the copy. */
export async function takeRequested(
  input: TakeInput,
  deps: TakeDeps,
): Promise<Built & Pick<Analysis, 'desired'>> {
  const { deployment, emit, signal } = input
  const { id, number, app, options, requestedImage } = deployment
  const { deployer, store, region } = deps
  if (!requestedImage) throw new Problem('internal', 'This deployment names no image.')

  const desired = await resolveDesired(deployment, null, { releases: store.releases, region })
  const warnings = await deployer.preflight({ id, number, app, options, desired, signal })
  for (const text of [...desired.warnings, ...warnings]) emit({ type: 'warning', text })
  await ensureApp({ app, options, emit, signal }, Promise.resolve(), deps)

  const { reference } = requestedImage
  return { ...(await takeImage(input, { reference, isOfSource: false }, deps)), desired }
}
