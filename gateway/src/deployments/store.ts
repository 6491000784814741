import type {
  CancelRequest,
  Deployment,
  DeploymentPage,
  DeploymentState,
  ImageFacts,
} from '#api/deployment.ts'
import type { DeploymentEvent, NewEvent } from '#api/event.ts'
import type { DeploymentOptions } from '#api/options.ts'
import type { SourceFacts } from '#api/deployment.ts'
import type { NewRelease, ReleaseStore } from './release-store.ts'
import type { RolloutStore } from './rollout-store.ts'
import type { AppSettings, OwnSettings } from '#api/app-settings.ts'
import type { QueueLimits } from './queue.ts'
import type { ProblemBody } from '#api/problem.ts'
import type { SealedSecret } from './secret-store.ts'

export type NewDeployment = {
  id: string
  app: string
  options: DeploymentOptions
  source: SourceFacts | null
  /** Kept under lock until the deployment ends, then erased. */
  secrets?: SealedSecret[]
  /** Tells other secrets from the same ones, and nothing else. */
  secretsFingerprint?: string
  /** Already built: the deployment begins at `deploying`. */
  image?: ImageFacts | null
  /** The release whose config it takes over. */
  from?: Deployment['from']
  /** What the sender asked for, where that is more, or less, than options, source and image. */
  asked?: unknown
  /** The options are an earlier deployment's: the app's settings are in them already, but for its lane policy. */
  resolved?: boolean
  /** The sender's key for this very request: for 24 h the same key gives the same deployment. */
  idempotencyKey?: string | null
}

/** What a move or a step may write beside the state. */
export type DeploymentPatch = Partial<
  Pick<Deployment, 'plan' | 'image' | 'bases' | 'machines' | 'url' | 'problem'>
> & {
  /** The deploy engine's own notes (former configs, intents): kept until the deployment ends, never shown. */
  rollout?: unknown
  /** What the image was built from, as one key; `goodUntil` is when its bases must be looked at again (null: never). */
  build?: { key: string; validUntil: string | null }
  /** With the move to `live`: the release that it makes. */
  release?: NewRelease
}

/** Of each app, unless its settings differ: so many, newest first, so much of them, for so long. */
export type KeepSources = Pick<AppSettings, 'keepSources' | 'keepSourcesMib' | 'keepSourcesDays'>

/** For how long a claim holds. Where a store is shared, others leave the work alone until then; its runner renews it. */
export const leaseMs = 30_000

/** A claimed deployment: every later write of the runner carries the epoch, and fails when another has claimed since. */
export type Claim = {
  deployment: Deployment
  epoch: number
  rollout: unknown
  /** The gateway died with it at work, so it has to be alone at work until it has left that state. */
  suspect: boolean
}

/** A gateway from its start to its end. */
export type Life = {
  /** The kernel's id of this boot of the machine. */
  boot: string
  /** A deployment ends when the gateway died so often with it alone at work. */
  maxDeaths: number
}

/**
 * Keeps deployments and their logs. A lane is an app and an owner (`options.owner`; null: the app itself): its
 * deployments go one after the other, in the order of their births, and other lanes beside it. Every method happens
 * whole or not at all. Times are ISO 8601, UTC.
 *
 * All that is written has a size limit (`sizeLimits`). What programs need and is larger is refused as `record-too-large`
 * with nothing written; texts for people, and what a problem says beside its detail, are cut. So a deployment can always
 * end. Pages of lists may be shorter than their limit when their records are large.
 */
export interface DeploymentStore {
  readonly releases: ReleaseStore
  readonly rollouts: RolloutStore
  /**
   * Writes the record and its first event (`pending`), with the app's settings laid under the options, and does to others
   * of the lane what its policy says (`lane-busy`: it is not made); or answers the
   * deployment that the same idempotency key made, `idempotency-mismatch` when it was for something else.
   */
  create(fresh: NewDeployment): Promise<Deployment>
  /** What this key made already of an app, if anything; `idempotency-mismatch` when `asked` was something else. */
  findByIdempotencyKey(
    app: string,
    request: Pick<NewDeployment, 'asked' | 'idempotencyKey'>,
  ): Promise<Deployment | null>
  /** One of the app's that has not ended, if any. */
  unfinished(app: string): Promise<Deployment | null>
  /** `lane-busy` or `queue-full` as `create` would say it, before the source is there; not for what the same key made already. */
  refuseBusyLane(asked: Pick<NewDeployment, 'app' | 'options' | 'idempotencyKey'>): Promise<void>
  find(id: string): Promise<Deployment | null>
  /** Newest first. `before` is a cursor of an earlier page. */
  list(app: string, page: { limit: number; before: string | null }): Promise<DeploymentPage>

  /** The newest deployment of an app whose image was built from what this key stands for, and is good still. */
  imageOf(app: string, buildKey: string): Promise<Deployment | null>

  /**
   * The next of the queue (see `arrange`), claimed and moved to `fetching` (with an image: to `deploying`); null when
   * none may start. Ends those that come too late, as `advance` does. While there are suspects (see `startLife`), the
   * next one of those, when nothing else is at work. Without limits only what stands at machines may start.
   */
  claim(limits?: QueueLimits | null): Promise<Claim | null>
  /** Ends those that have waited longer than this, with `time-limit`. */
  expireQueued(queueMs: number): Promise<void>
  /** Tells those that wait their place and what they wait for, where it is news. Without limits none may start. */
  publishQueuePositions(limits: QueueLimits | null): Promise<void>
  /**
   * Moves a deployment and writes the `state` event, together. False, and nothing written, when it is no longer in
   * `from`, the epoch is not the last one, or a wish to stop it stands in the way of going on. Refuses a move that is not in
   * the table (a mistake of ours). False too at the fence: to `deploying` where a newer deployment of the lane is live or
   * touches machines ends as `superseded`.
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
  requestCancel(id: string, request: Omit<CancelRequest, 'at'>): Promise<Deployment>
  /** Adds facts without a move; false when the epoch is not the last one. */
  amend(claim: { id: string; epoch: number }, patch: DeploymentPatch): Promise<boolean>
  /** Appends to the log, numbered without gaps, in this order; false when the epoch is not the last one. */
  append(claim: { id: string; epoch: number }, events: NewEvent[]): Promise<boolean>
  /** Holds a claim for another `leaseMs`; false when the epoch is not the last one: somebody else has it now. */
  renew(claim: { id: string; epoch: number }): Promise<boolean>
  /**
   * A gateway starts to work on these records. Where they are its alone: when the one before it died (it never called `endLife`), what
   * was at work is suspected until it has left the state that it was in. If it was one deployment alone, and the machine
   * has not been booted since, that is a death of it; with the last that it may have it ends, with `gateway-died`. What
   * cannot be read any more ends with `records-unusable`. Then as `recover`, but suspects at machines wait for `claim`.
   */
  startLife(life: Life, reason: string): Promise<{ claims: Claim[]; ended: Deployment[] }>
  /** The gateway was asked to stop: whatever ends it from now on is nobody's fault. */
  endLife(): Promise<void>
  /** Ends as failed what cannot be ended otherwise, whoever has it. */
  giveUp(id: string, problem: ProblemBody): Promise<void>
  /**
   * What nobody works on any more: after a start, all that an earlier gateway left at work; where several gateways share
   * the store, that whose lease has run out; `only` the one of this id. Those that touched no machine go back to `pending` with the
   * reason in their log, or end where that was wished; the others are claimed anew and returned, to be taken up where they stand.
   */
  recover(reason: string, only?: string): Promise<Claim[]>

  /** In order of `seq`, from the first one after `after`; with `limitBytes` no more than about so much, but one at least. */
  eventsAfter(
    id: string,
    after: number,
    limit: number,
    limitBytes?: number,
  ): Promise<DeploymentEvent[]>
  /** Resolves when the log may hold more than `after`, has ended, or the signal aborts; too often perhaps, never too late. */
  changed(id: string, after: number, signal: AbortSignal): Promise<void>
  /** Digests of the source trees of unfinished deployments, and of those of each app that are to be kept. */
  sourcesInUse(keep: KeepSources): Promise<Set<string>>

  /** What an app has of its own. */
  appSettings(app: string): Promise<OwnSettings>
  /** Changed as `patchSettings` says, and its problems. */
  changeAppSettings(app: string, patch: unknown): Promise<OwnSettings>
  /**
   * Takes away the logs, not the records, of deployments that ended more than `days` ago, or are older than the newest
   * `perApp` of their app; tells how many. Takes its time: whoever writes meanwhile waits no more than 50 ms.
   */
  dropLogs(keep: { perApp: number; days: number }, signal: AbortSignal): Promise<number>
  [Symbol.asyncDispose](): Promise<void>
}
