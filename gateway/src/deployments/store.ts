import type { CancelWish, Deployment, DeploymentPage, DeploymentState, ImageFacts } from '#api/deployment.ts'
import type { DeploymentEvent, NewEvent } from '#api/event.ts'
import type { DeploymentOptions } from '#api/options.ts'
import type { SourceFacts } from '#api/deployment.ts'
import type { SealedSecret } from './secret-store.ts'

export type NewDeployment = {
  id: string
  app: string
  options: DeploymentOptions
  source: SourceFacts | null
  /** Kept under lock until the deployment ends, then erased. */
  secrets?: SealedSecret[]
  /** Tells other secrets from the same ones, and nothing else. */
  secretsMark?: string
  /** Already built: the deployment begins at `deploying`. */
  image?: ImageFacts | null
  /** The sender's key for this very request: for 24 h the same key gives the same deployment. */
  idempotencyKey?: string | null
}

/** What a move or a step may write beside the state. */
export type DeploymentPatch = Partial<Pick<Deployment, 'plan' | 'image' | 'bases' | 'machines' | 'url' | 'problem'>> & {
  /** The deploy engine's own notes (former configs, intents): kept, never shown. */
  rollout?: unknown
  /** What the image was built from, as one key; `goodUntil` is when its bases must be looked at again (null: never). */
  build?: { key: string; goodUntil: string | null }
}

/** A claimed deployment: every later write of the runner carries the epoch, and fails when another has claimed since. */
export type Claim = { deployment: Deployment; epoch: number; rollout: unknown }

/** Keeps deployments and their logs. Every method happens whole or not at all. Times are ISO 8601, UTC. */
export interface DeploymentStore {
  /**
   * Writes the record and its first event (`pending`), and supersedes older pending ones of the same app; or answers the
   * deployment that the same idempotency key made, `idempotency-mismatch` when it was for something else.
   */
  create(fresh: NewDeployment): Promise<Deployment>
  find(id: string): Promise<Deployment | null>
  /** Newest first. `before` is a cursor of an earlier page. */
  list(app: string, page: { limit: number; before: string | null }): Promise<DeploymentPage>

  /** The newest deployment of an app whose image was built from what this key stands for, and is good still. */
  imageOf(app: string, buildKey: string): Promise<Deployment | null>

  /**
   * The oldest pending deployment of an app that has none at work, claimed and moved to `fetching` (with an image: to
   * `deploying`); null when there is none.
   */
  claim(): Promise<Claim | null>
  /**
   * Moves a deployment and writes the `state` event, together. False, and nothing written, when it is no longer in
   * `from`, the epoch is not the last one, or a wish to cancel stands in the way of going on. Refuses a move that is not in the table (a mistake of ours).
   */
  advance(
    claim: { id: string; epoch: number },
    from: DeploymentState,
    to: DeploymentState,
    patch?: DeploymentPatch & { reason?: string },
  ): Promise<boolean>
  /**
   * Writes down the wish to cancel, with an event. A pending deployment ends at once; one that has ended stays as it is.
   * Problems: `deployment-not-found`, `too-late` when machines have been touched and the wish is not to abort.
   */
  wishCancel(id: string, wish: Omit<CancelWish, 'at'>): Promise<Deployment>
  /** Adds facts without a move; false when the epoch is not the last one. */
  amend(claim: { id: string; epoch: number }, patch: DeploymentPatch): Promise<boolean>
  /** Appends to the log, numbered without gaps, in this order; false when the epoch is not the last one. */
  append(claim: { id: string; epoch: number }, events: NewEvent[]): Promise<boolean>
  /**
   * After a start: what an earlier gateway left at work. Those that touched no machine go back to `pending` with the
   * reason in their log, or end where that was wished; the others are claimed anew and returned, to be taken up where they stand.
   */
  recover(reason: string): Promise<Claim[]>

  /** In order of `seq`, from the first one after `after`; with `limitBytes` no more than about so much, but one at least. */
  eventsAfter(id: string, after: number, limit: number, limitBytes?: number): Promise<DeploymentEvent[]>
  /** Resolves when the log may hold more than `after`, has ended, or the signal aborts; too often perhaps, never too late. */
  changed(id: string, after: number, signal: AbortSignal): Promise<void>
  /** Digests of the source trees of unfinished deployments, and of the last `keep` of each app. */
  sourcesInUse(keep: number): Promise<Set<string>>
  [Symbol.asyncDispose](): Promise<void>
}
