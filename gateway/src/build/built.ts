import type { Deployment, ImageFacts } from '#api/deployment.ts'
import type { DeploymentPatch } from '../deployments/store.ts'

/** An image, made or found; `build` where it was made. */
export type Built = { image: ImageFacts; bases: Deployment['bases'] } & Pick<
  DeploymentPatch,
  'build'
>
