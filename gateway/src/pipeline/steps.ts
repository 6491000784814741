import type { Deployment, ImageFacts, MachineFacts, PlanFacts } from '#api/deployment.ts'
import type { NewRelease } from '../deployments/release-store.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import type { Built } from '../build/built.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import type { Secrets } from '../secrets/vault.ts'

/** How an image will be made; what stands behind `facts` is for the step that builds. */
export type Plan = { facts: PlanFacts }

/** What the deploy engine needs to remember across a crash; written before each effect. */
export type Checkpoint = (patch: { rollout: unknown; machines: MachineFacts[] }) => Promise<void>

/**
 * What a deployment goes through. Each step may run again after a crash, so each looks before it acts; each fails with
 * a Problem. The gateway passes the real ones.
 */
export interface Steps<P extends Plan = Plan> {
  /** Values for the build's steps that nobody may read, the app's and the deployment's own. */
  secrets(deployment: Deployment): Promise<Secrets>
  fetch(deployment: Deployment, signal: AbortSignal): Promise<SourceTree>
  analyze(
    deployment: Deployment,
    tree: SourceTree,
    secrets: Secrets,
    emit: EventSink,
    signal: AbortSignal,
  ): Promise<P>
  /** Pushes too; `pushing` is called when that begins. The image is read back from the registry before it is returned. */
  build(
    deployment: Deployment,
    tree: SourceTree,
    secrets: Secrets,
    plan: P,
    pushing: () => void,
    emit: EventSink,
    signal: AbortSignal,
  ): Promise<Built>
  /** Brings every machine to the image, one after the other; after a failure it puts back what it touched. */
  deploy(work: DeployWork): Promise<void>
  /** Answers the app's address, and the release that it is now, once every machine is seen to run the image; after a failure as `deploy`. */
  verify(work: DeployWork): Promise<{ url: string; release: NewRelease }>
}

export type DeployWork = {
  deployment: Deployment
  image: ImageFacts
  rollout: unknown
  checkpoint: Checkpoint
  emit: EventSink
  signal: AbortSignal
}
