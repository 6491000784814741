import type { BuildDeps, BuildRequest, BuildSettings } from './build-request.ts'
import type { ImageInputs } from './image-key.ts'

/** All that the parts of one build share. */
export type BuildJob = BuildDeps &
  Pick<BuildSettings, 'registryCache'> &
  BuildRequest & {
    inputs: ImageInputs
    /** Run every step again, whatever is cached. */
    rebuild: boolean
    /** `host/app` */
    repository: string
    /** The first one is the deployment's own. */
    tags: [string, ...string[]]
    /** For the manifest and, over several platforms, the index. */
    annotations: Record<string, string>
  }
