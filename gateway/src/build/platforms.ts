import type { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import type { Buildkit } from '../buildkit/client.ts'

/** The platform of this machine, and of the app's machines. */
export const ownPlatform = `linux/${process.arch === 'arm64' ? 'arm64' : 'amd64'}`

/** The platforms to build an image for, as in `linux/arm64`. */
export const platformsOf = ({ platform }: Pick<DeploymentOptions, 'platform'>): string[] => [
  ...new Set(platform?.split(',') ?? [ownPlatform]),
]

/**
 * Throws `platform-unsupported` if this machine cannot build for a wanted platform. Called before
 * the build, so that the build does not fail in the middle.
 */
export async function checkPlatforms(
  buildkit: Buildkit,
  options: DeploymentOptions,
  signal: AbortSignal,
): Promise<void> {
  if (options.platform === null) return
  const { platforms } = await buildkit.info(signal)
  const foreign = platformsOf(options).find(
    (platform) => !platforms.includes(platform.replace('arm64/v8', 'arm64')),
  )
  if (!foreign) return
  const detail = `The gateway cannot run programs for ${foreign}. It builds for ${platforms.join(', ')}.`
  throw new Problem('platform-unsupported', detail, { facts: { platform: foreign, platforms } })
}
