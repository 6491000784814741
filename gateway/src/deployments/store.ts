import type { AppSettings, OwnSettings } from '#api/options/app-settings.ts'
import type {
  NewCancelRequest,
  Deployment,
  DeploymentPage,
  DeploymentState,
  ImageFacts,
  SourceFacts,
} from '#api/deployment.ts'
import type { DeploymentEvent, NewEvent } from '#api/event.ts'
import type { Caller } from '#api/callers/caller.ts'
import type { RequestedImage } from '#api/image-source.ts'
import type { DeploymentOptions } from '#api/options.ts'
import type { ProblemBody } from '#api/problem/body.ts'
import type { Life } from './gateway-died.ts'
import type { NewStoredPreview } from './previews/preview-store.ts'
import type { QueueLimits } from './queue.ts'
import type { NewRelease, PageRequest } from './release-store.ts'
import type { StoreParts } from './parts/store-parts.ts'
import type { SealedSecret } from './secret-store.ts'

export type NewDeployment = {
  id: string
  app: string
  options: DeploymentOptions
  source: SourceFacts | null
  /** Stored encrypted until the deployment ends, then erased. */
  secrets?: SealedSecret[]
  /** Shows whether two sets of secrets are the same, and nothing else. */
  secretsFingerprint?: string
  /** The same under each older key: an idempotency key may be from before the rotation. */
  oldSecretsFingerprints?: readonly string[]
  /** An existing image. The deployment then goes from `pending` straight to `deploying`. */
  image?: ImageFacts | null
  /** An image to copy. The deployment then goes from `pending` straight to `pushing`. */
  requestedImage?: RequestedImage | null
  /** The release whose config the deployment uses. */
  from?: Deployment['from']
  /** Set on a rollback. It goes before the waiting deployments of its lane. */
  rollback?: Deployment['rollback']
  /** The deployment that this one retries. */
  retryOf?: string
  triggeredBy?: Caller
  callerAddress?: string | null
  /** The preview that it starts. `app` is that preview's own app on Fly. */
  preview?: NewStoredPreview
  /** What the client requested, if that is more or less than options, source and image. */
  requestBody?: unknown
  /**
   * The options come from an earlier deployment. They already include the app's settings, but not
   * its lane policy.
   */
  resolved?: boolean
  /** The client's key for this request. For 24 h the same key returns the same deployment. */
  idempotencyKey?: string | null
  /** No quota refuses it. It counts all the same. */
  exempt?: boolean
  /** The id of the deploy link that this deployment uses up. */
  link?: string | null
}

type Facts =
  | 'plan'
  | 'image'
  | 'requestedImage'
  | 'bases'
  | 'machines'
  | 'url'
  | 'problem'
  | 'warnings'
  | 'buildUsage'
  | 'buildSteps'
/** What is known of a deployment before its source arrives. */
type KnownEarly = 'app' | 'options' | 'idempotencyKey' | 'exempt' | 'preview'
export type AnnouncedDeployment = Pick<NewDeployment, KnownEarly>

/** What a move or a step may write in addition to the state. */
export type DeploymentPatch = Partial<Pick<Deployment, Facts>> & {
  /** The deploy engine's progress (previous configs, intents). Kept until the end, never shown. */
  rollout?: unknown
  /**
   * What the image was built from, as one key. After `validUntil` the gateway must check its base
   * images again (null: never).
   */
  build?: { key: string; validUntil: string | null }
  /** Only with the move to `live`: the release that it creates. */
  release?: NewRelease
}

/**
 * Source retention per app: maximum count, total size and age. The newest are kept. An app may
 * override it.
 */
export type KeepSources = Pick<AppSettings, 'keepSources' | 'keepSourcesMib' | 'keepSourcesDays'>

/**
 * How long a claim is valid unless its runner renews it. Until then, other gateways on a shared
 * store leave the deployment alone.
 */
export const leaseMs = 30_000

/**
 * A claimed deployment. Every later write of the runner carries the epoch, and fails if another
 * runner has claimed since.
 */
export type Claim = {
  deployment: Deployment
  epoch: number
  rollout: unknown
  /** The gateway died while this deployment ran. It must run alone until it has left that state. */
  suspect: boolean
}

/**
 * Stores deployments and their logs. A lane is an app and an owner (`options.owner`; null: the app
 * itself). Deployments of a lane run one after another, in order of creation. Lanes run side by
 * side. Every method is atomic, except those that go through many records in parts. Times are ISO
 * 8601, UTC.
 *
 * All data has a size limit (`sizeLimits`). Larger data for programs is refused as
 * `record-too-large`, and nothing is written. Texts for people and facts of problems are cut, so
 * that a deployment can always end. A page of a list may be shorter than its limit if its records
 * are large.
 */
export interface DeploymentStore extends StoreParts {
  /**
   * Writes the record and its first event (`pending`), with the app's settings as defaults of the
   * options, and decides which app on Fly a new target gets. Applies the lane policy to other
   * deployments of the lane. Throws `lane-busy`, `queue-full`, `quota-reached` or `token-used` without
   * writing. A known idempotency key returns the deployment that it created, or throws `idempotency-mismatch` if that request differed.
   */
  create(fresh: NewDeployment): Promise<Deployment>
  /** The app's deployment that this key created, if any. Throws `idempotency-mismatch`. */
  findByIdempotencyKey(
    app: string,
    request: Pick<NewDeployment, 'requestBody' | 'idempotencyKey'>,
  ): Promise<Deployment | null>
  /** One unfinished deployment of the app, or of this owner of it, if any. */
  unfinished(app: string, owner?: string): Promise<Deployment | null>
  /** How many deployments have not ended. */
  countUnfinished(): Promise<number>
  /** Throws as `create` would, before the source arrives. A key that created a deployment never throws. */
  refuseBusyLane(announced: AnnouncedDeployment): Promise<void>
  find(id: string): Promise<Deployment | null>
  /** Newest first. With `key` only the deployment that this idempotency key created, if any. */
  list(app: string, page: PageRequest & { key?: string | null }): Promise<DeploymentPage>

  /** The app's newest deployment whose image has this build key and is still valid. */
  imageOf(app: string, buildKey: string): Promise<Deployment | null>

  /**
   * Claims the next deployment of the queue (see `schedule`) and moves it to `fetching`, to `pushing`
   * if its image is to be copied, or to `deploying` if it has an image. Null: none may start. Like `advance`, it ends outdated
   * deployments at the fence. While there are suspects (see `startLife`), it claims only the next
   * suspect, and only when nothing else runs. Without limits, only suspects that were changing
   * machines may start.
   */
  claim(limits?: QueueLimits | null): Promise<Claim | null>
  /** Ends deployments that have waited longer than this, with `time-limit`. */
  expireQueued(queueMs: number): Promise<void>
  /**
   * Logs each waiting deployment's position and reason, if they are news. Without limits no
   * deployment may start.
   */
  publishQueuePositions(limits: QueueLimits | null): Promise<void>
  /**
   * Moves a deployment and writes the `state` event in one transaction. False, and nothing written:
   * it is no longer in `from`, the epoch is outdated, or a stop request forbids it. Throws if
   * `moves` does not allow the move (a bug of the gateway). Also false at the fence: a move to
   * `deploying` ends as `superseded` if a newer deployment of the lane is live or changes machines.
   */
  advance(
    claim: { id: string; epoch: number },
    from: DeploymentState,
    to: DeploymentState,
    patch?: DeploymentPatch & { reason?: string },
  ): Promise<boolean>
  /**
   * Records a cancel request, with an event. A pending deployment ends at once; one that has ended
   * stays as it is. Throws `deployment-not-found`, or `cancel-too-late` if machines were touched and the
   * request has no `abort`.
   */
  requestCancel(id: string, request: NewCancelRequest): Promise<Deployment>
  /** Adds facts without a move. False: the epoch is outdated. */
  amend(claim: { id: string; epoch: number }, patch: DeploymentPatch): Promise<boolean>
  /** Appends to the log in this order, numbered without gaps. False: the epoch is outdated. */
  append(claim: { id: string; epoch: number }, events: NewEvent[]): Promise<boolean>
  /** Extends a claim by `leaseMs`. False: the epoch is outdated, another runner has it. */
  renew(claim: { id: string; epoch: number }): Promise<boolean>
  /**
   * A gateway starts to work on these records. Deployments whose records cannot be read end with
   * `database-unusable`. Then, if the records are not shared and the previous gateway died (it never
   * called `endLife`), the deployments that were running become suspects. They stay suspects until
   * they leave their state. If only one was running, and the machine has not rebooted since, this
   * counts as a death of it. The last allowed death ends it with `gateway-died`. Finally it does
   * the same as `recover`, but suspects that were changing machines wait for `claim`.
   */
  startLife(life: Life, reason: string): Promise<{ claims: Claim[]; ended: Deployment[] }>
  /** Whether there are suspects, so that no other deployment starts. */
  hasSuspects(): boolean
  /** The gateway was asked to stop. Whatever ends it from now on makes no deployment a suspect. */
  endLife(): Promise<void>
  /** Ends a deployment as failed when nothing else can, whichever runner has it. */
  giveUp(id: string, problem: ProblemBody): Promise<void>
  /**
   * Recovers deployments that no runner works on: after a start, all that an earlier gateway left
   * running; in a shared store, those whose lease has expired. `only` limits this to one id.
   * Deployments before `deploying` return to `pending` with the reason in their log, or end if a
   * stop was requested. The others are claimed again and returned, to continue where they are.
   */
  recover(reason: string, only?: string): Promise<Claim[]>

  /**
   * In order of `seq`, from the first one after `after`. Returns about `limitBytes` at most, but at
   * least one event.
   */
  eventsAfter(
    id: string,
    after: number,
    limit: number,
    limitBytes?: number,
  ): Promise<DeploymentEvent[]>
  /**
   * Resolves when the log may hold more than `after`, has ended, or the signal aborts. May resolve
   * too early, never too late.
   */
  changed(id: string, after: number, signal: AbortSignal): Promise<void>
  /**
   * Calls `listener` when something may start that could not before: a deployment has entered the
   * queue, has left its build slot or its lane, or is no longer suspect; an app's settings have
   * changed; a rollout has made its deployment. May call it too often, never too late. A store that
   * several gateways share also calls it for the changes of the others, from a notification of the
   * database or a poll.
   */
  onQueueChange(listener: () => void): Disposable
  /** Digests of the source trees that unfinished deployments use, or that `keep` retains. */
  sourcesInUse(keep: KeepSources): Promise<Set<string>>

  /** The app's own settings. */
  appSettings(app: string): Promise<OwnSettings>
  /** Changes the settings as `patchSettings` does, and throws its problems. */
  changeAppSettings(app: string, patch: unknown): Promise<OwnSettings>
  /**
   * Deletes the logs, not the records, of deployments that ended more than `days` ago or are older
   * than the newest `perApp` of their app. Returns how many. Works in small steps: other writers
   * wait no more than 50 ms.
   */
  dropLogs(keep: { perApp: number; days: number }, signal: AbortSignal): Promise<number>
  [Symbol.asyncDispose](): Promise<void>
}
