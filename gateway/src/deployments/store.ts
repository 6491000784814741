import type { Deployment, DeploymentPage, DeploymentState } from '#api/deployment.ts'
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
}

/** What a move or a step may write beside the state. */
export type DeploymentPatch = Partial<Pick<Deployment, 'plan' | 'image' | 'machines' | 'url' | 'problem'>> & {
  /** The deploy engine's own notes (former configs, intents): kept, never shown. */
  rollout?: unknown
}

/** A claimed deployment: every later write of the runner carries the epoch, and fails when another has claimed since. */
export type Claim = { deployment: Deployment; epoch: number; rollout: unknown }

/** Keeps deployments and their logs. Every method happens whole or not at all. Times are ISO 8601, UTC. */
export interface DeploymentStore {
  /** Writes the record and its first event (`pending`), and supersedes older pending ones of the same app. */
  create(fresh: NewDeployment): Promise<Deployment>
  find(id: string): Promise<Deployment | null>
  /** Newest first. `before` is a cursor of an earlier page. */
  list(app: string, page: { limit: number; before: string | null }): Promise<DeploymentPage>

  /** The oldest pending deployment of an app that has none at work, claimed and moved to `fetching`; null when there is none. */
  claim(): Promise<Claim | null>
  /**
   * Moves a deployment and writes the `state` event, together. False, and nothing written, when it is no longer in
   * `from` or the epoch is not the last one. Refuses a move that is not in the table (a mistake of ours).
   */
  advance(
    claim: { id: string; epoch: number },
    from: DeploymentState,
    to: DeploymentState,
    patch?: DeploymentPatch & { reason?: string },
  ): Promise<boolean>
  /** Adds facts without a move; false when the epoch is not the last one. */
  amend(claim: { id: string; epoch: number }, patch: DeploymentPatch): Promise<boolean>
  /** Appends to the log, numbered without gaps, in this order; false when the epoch is not the last one. */
  append(claim: { id: string; epoch: number }, events: NewEvent[]): Promise<boolean>
  /**
   * After a start: what an earlier gateway left at work. Those that touched no machine go back to `pending` with the
   * reason in their log; the others are claimed anew and returned, to be taken up where they stand.
   */
  recover(reason: string): Promise<Claim[]>

  /** In order of `seq`, from the first one after `after`. */
  eventsAfter(id: string, after: number, limit: number): Promise<DeploymentEvent[]>
  /** Resolves when the log may hold more than `after`, has ended, or the signal aborts; too often perhaps, never too late. */
  changed(id: string, after: number, signal: AbortSignal): Promise<void>
  /** Digests of the source trees that some deployment still needs. */
  sourcesInUse(): Promise<Set<string>>
  [Symbol.asyncDispose](): Promise<void>
}
