import { errorCode, errorMessage } from '#api/error-code.ts'
import type { MissingImage } from '#api/status/images.ts'
import { pause } from '#api/flow/retry.ts'
import type { ReleaseImage, ReleaseStore } from '../deployments/release-store.ts'
import type { Registry } from '../registry/registry.ts'

/** One image, and all releases that need it. */
export type KeptImage = {
  reference: string
  digest: string
  /** The app in whose repository it is. */
  app: string
  releases: MissingImage['releases']
}

/** What a check needs. */
export type CheckDeps = {
  releases: Pick<ReleaseStore, 'apps' | 'images'>
  registry: Pick<Registry, 'has'>
  /** Images elsewhere are not ours to push. */
  registryHost: string
  /** Pushes an image again, from the build cache. Throws a Problem that says why it cannot. */
  pushAgain: (image: KeptImage, signal: AbortSignal) => Promise<void>
  /** False: Fly has no such app, or another organisation has it, so its releases can go nowhere. */
  appExists: (app: string, signal: AbortSignal) => Promise<boolean>
  /** Between two questions to the registry. */
  pauseMs: number
}

export type Found = {
  checked: number
  restored: KeptImage[]
  missing: (KeptImage & { why: string })[]
}

/**
 * Asks the registry for the image of every kept release, and pushes those again that are gone.
 * Throws a Problem as soon as the registry does not answer, or refuses the login for an app of ours:
 * then nothing is known about the images.
 */
export async function checkImages(deps: CheckDeps, signal: AbortSignal): Promise<Found> {
  const found: Found = { checked: 0, restored: [], missing: [] }
  for (const image of await keptImages(deps)) {
    const isThere = () => deps.registry.has(image.app, image.digest, signal)
    found.checked += 1
    await pause(deps.pauseMs, signal)
    // Asked twice: one wrong answer of a registry with many servers costs a build.
    try {
      if ((await isThere()) || (await isThere())) continue
    } catch (error) {
      if (errorCode(error) !== 'registry-denied' || (await deps.appExists(image.app, signal)))
        throw error
    }
    if (!(await deps.appExists(image.app, signal))) continue
    try {
      await deps.pushAgain(image, signal)
      found.restored.push(image)
    } catch (error) {
      signal.throwIfAborted()
      if (errorCode(error) === 'registry-unavailable') throw error
      found.missing.push({ ...image, why: errorMessage(error) })
    }
  }
  return found
}

async function keptImages({
  releases,
  registryHost,
}: Pick<CheckDeps, 'releases' | 'registryHost'>): Promise<KeptImage[]> {
  const byReference = new Map<string, KeptImage>()
  for (const app of await releases.apps())
    for (const release of await releases.images(app)) {
      const image = byReference.get(release.reference) ?? imageOf(release, registryHost)
      if (!image) continue
      const { owner, number } = release
      image.releases.push({ app, owner, number })
      byReference.set(image.reference, image)
    }
  return [...byReference.values()]
}

function imageOf({ reference, digest }: ReleaseImage, host: string): KeptImage | null {
  if (!reference.startsWith(`${host}/`) || !reference.endsWith(`@${digest}`)) return null
  const app = reference.slice(host.length + 1, -digest.length - 1)
  return { reference, digest, app, releases: [] }
}
