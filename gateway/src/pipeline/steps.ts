import type { Deployment, PlanFacts } from '#api/deployment.ts'
import type { RequestedImage } from '#api/image-source.ts'
import type { Built } from '../build/build-request.ts'
import type { DeployJob } from '../deploy/job.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import type { NewRelease } from '../deployments/release-store.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import type { Secrets } from '../secrets/vault.ts'

/** How to build an image. Fields beyond `facts` are for the `build` step only. */
export type Plan = { facts: PlanFacts }

/** What a source says: how to build its image, and what the app should run. */
export type Analysis<P extends Plan = Plan> = { plan: P; desired: DeployJob['desired'] }

/**
 * The steps of a deployment. A step may run again after a crash, so it checks before it acts. It
 * fails with a Problem. `makeSteps` makes the real ones; tests pass others.
 */
export interface Steps<P extends Plan = Plan> {
  /** The build secrets of the app and of this deployment. */
  secrets(deployment: Deployment): Promise<Secrets>
  fetch(deployment: Deployment, signal: AbortSignal): Promise<SourceTree>
  /** Reads the source: its config once, for all later steps. */
  analyze(input: SourceInput): Promise<Analysis<P>>
  /** Builds and pushes, or takes the image that the source names. Reads the image back afterwards. */
  build(input: BuildInput<P>): Promise<Built>
  /** Takes the image that the deployment asks for by name to where machines get it. */
  take(input: TakeInput): Promise<Built & Pick<Analysis, 'desired'>>
  /** Applies the image to every machine. After a failure it restores what it changed. */
  deploy(input: DeployInput): Promise<void>
  /**
   * Checks that every machine runs the image, then returns the app's address, the new release, and
   * warnings about its keys for the record.
   * The address is null if no service makes the app reachable.
   * After a failure it restores what was changed, like `deploy`.
   */
  verify(
    input: DeployInput,
  ): Promise<{ url: string | null; release: NewRelease; warnings?: string[] }>
}

/** What every step after the fetch gets. */
type StepInput = { deployment: Deployment; emit: EventSink; signal: AbortSignal }

export type SourceInput = StepInput & { tree: SourceTree; secrets: Secrets }

export type TakeInput = StepInput & {
  /** Called when the push starts. */
  pushing: () => void
  /** Records the digest of an image that was asked for by name, so that a later run takes the same. */
  pinned: (image: RequestedImage) => Promise<void>
}

type BuildInput<P extends Plan = Plan> = SourceInput &
  Analysis<P> &
  Omit<TakeInput, keyof StepInput>

export type DeployInput = StepInput &
  Pick<DeployJob, 'image' | 'rollout' | 'checkpoint' | 'redact'> & {
    /** Null: nothing was analyzed since the gateway claimed the deployment. */
    desired: DeployJob['desired'] | null
    /** No other deployment starts meanwhile: the gateway died while this one ran. */
    isAlone?: boolean
  }
