import type { Deployment, ImageFacts, MachineFacts, PlanFacts } from '#api/deployment.ts'
import type { NewRelease } from '../deployments/release-store.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import type { Built } from '../build/built.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import type { Secrets } from '../secrets/vault.ts'

/** How to build an image. Fields beyond `facts` are for the `build` step only. */
export type Plan = { facts: PlanFacts }

/** Saves what the deploy engine needs after a crash. The engine calls it before each effect. */
export type Checkpoint = (patch: { rollout: unknown; machines: MachineFacts[] }) => Promise<void>

/**
 * The steps of a deployment. A step may run again after a crash, so it checks before it acts. It
 * fails with a Problem. `makeSteps` makes the real ones; tests pass others.
 */
export interface Steps<P extends Plan = Plan> {
  /** The build secrets of the app and of this deployment. */
  secrets(deployment: Deployment): Promise<Secrets>
  fetch(deployment: Deployment, signal: AbortSignal): Promise<SourceTree>
  analyze(
    deployment: Deployment,
    tree: SourceTree,
    secrets: Secrets,
    emit: EventSink,
    signal: AbortSignal,
  ): Promise<P>
  /** Builds and pushes. Calls `pushing` when the push starts. Reads the image back afterwards. */
  build(
    deployment: Deployment,
    tree: SourceTree,
    secrets: Secrets,
    plan: P,
    pushing: () => void,
    emit: EventSink,
    signal: AbortSignal,
  ): Promise<Built>
  /** Applies the image to every machine. After a failure it restores what it changed. */
  deploy(work: DeployWork): Promise<void>
  /**
   * Checks that every machine runs the image, then returns the app's address and the new release.
   * After a failure it restores what was changed, like `deploy`.
   */
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
