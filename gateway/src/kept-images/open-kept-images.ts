import { join } from 'node:path'
import { statusOf } from '#fly/fly-calls.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { Config } from '../config.ts'
import type { ReleaseStore } from '../deployments/release-store.ts'
import type { Logger } from '../log.ts'
import { pushAgain } from './push-again.ts'
import type { Registry } from '../registry/registry.ts'
import { ImageWatch } from './image-watch.ts'

/** What building an image again takes: the same as the steps of a deployment. */
type BuildParts = {
  deps: Parameters<typeof pushAgain>[1] & { fly: MachinesApi; registry: Registry }
  settings: Parameters<typeof pushAgain>[2]
}

const pauseMs = 200

/** Starts the daily check of the images of all kept releases. */
export function openKeptImages(
  { deps, settings }: BuildParts,
  { registry: registryHost, data }: Pick<Config, 'registry' | 'data'>,
  log: Logger,
): Promise<ImageWatch> {
  const releases: Pick<ReleaseStore, 'apps' | 'images'> = deps.store.releases
  return ImageWatch.start({
    releases,
    registry: deps.registry,
    registryHost,
    pushAgain: (image, signal) => pushAgain(image, deps, settings, signal),
    appExists: (app, signal) => isOurs(deps.fly, app, signal),
    pauseMs,
    file: join(data, 'image-check.json'),
    log,
  })
}

/** Names of apps are free again once an app is deleted: another organisation may have it now. */
async function isOurs(fly: MachinesApi, app: string, signal: AbortSignal): Promise<boolean> {
  try {
    return (await fly.app(app, signal)) !== null
  } catch (error) {
    if (statusOf(error) === 403) return false
    throw error
  }
}
