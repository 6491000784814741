import type { Deployment, ImageFacts } from '#api/deployment.ts'
import type { RequestedImage } from '#api/image-source.ts'
import { parseReference, referenceText } from '#api/image/reference.ts'
import { Problem } from '#api/problem.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import { imageTags } from './build-image.ts'
import type { Built } from './build-request.ts'
import { ownPlatform } from './platforms.ts'

/** What a copy does besides: see `CopyRequest`. */
type Effects = {
  pinned: (image: RequestedImage) => Promise<void>
  pushing: () => void
  emit: EventSink
}
type Wanted = {
  app: string
  image: RequestedImage
  tags: [string, ...string[]]
  platform: string
  /** Whether an image that the repository has needs no tag of its own. */
  isShared?: boolean
}
/** As `ImageCopier`. */
type Copier = { take(request: Wanted & Effects, signal: AbortSignal): Promise<ImageFacts> }
type Taken = { reference: string; isOfSource: boolean; repository?: string }
type TakeRequest = Effects & { deployment: Deployment; signal: AbortSignal }

/**
 * Takes an image to where machines get it. `repository`: where a copy goes, unless to the app's own.
 * `isOfSource`: fly.toml names it. Whoever sends a source
 * may not be allowed to read other apps, so it may name none of their images.
 */
export async function takeImage(
  { deployment, signal, ...effects }: TakeRequest,
  { reference, isOfSource, repository }: Taken,
  { copier, registryHost }: { copier: Copier; registryHost: string },
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
  // An earlier run has recorded what the name meant. The tag may have moved since.
  const digest = known?.reference === text ? known.digest : null
  const image = { reference: text, digest }
  const { pinned, pushing, emit } = effects
  const shared = repository !== undefined && repository !== app
  const to = { app: repository ?? app, isShared: shared }
  const request = { ...to, image, tags: imageTags(deployment), platform: ownPlatform }
  return { image: await copier.take({ ...request, pinned, pushing, emit }, signal), bases: {} }
}
