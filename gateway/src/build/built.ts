import type { Deployment, ImageFacts } from '#api/deployment.ts'
import type { DeploymentPatch } from '../deployments/store.ts'

/** An image, built or reused. `build` is set only if it was built. */
export type Built = { image: ImageFacts; bases: Deployment['bases'] } & Pick<
  DeploymentPatch,
  'build'
>
