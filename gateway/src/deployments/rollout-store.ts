import type { Caller } from '#api/callers/caller.ts'
import type { ProblemBody } from '#api/problem/body.ts'
import type { NewRollout, RolloutTarget } from '#api/rollout.ts'
import type { PageRequest } from './release-store.ts'

/**
 * A rollout as stored. It includes the ids of its deployments, so that none is created twice, even
 * after a crash.
 */
export type StoredRollout = Omit<NewRollout, 'targets'> & {
  id: string
  createdAt: string
  endedAt: string | null
  /** Who asked for it, and so for its deployments. Null: an earlier gateway did not record this. */
  triggeredBy: Caller | null
  /** The deployment that builds an uploaded archive. Null: the rollout has a `source` instead. */
  build: string | null
  targets: (RolloutTarget & { deployment: string })[]
  /** Why a target got no deployment, by the id that the deployment would have had. */
  refused: Record<string, ProblemBody>
  /** Why targets that have not started never will. */
  problem: ProblemBody | null
}

/** The request for a rollout. The same key returns the same rollout. */
export type RolloutRequest = { requestBody: unknown; idempotencyKey: string | null }

/** Stores rollouts. Every method is atomic. */
export interface RolloutStore {
  /**
   * Stores a rollout, or returns the one that the same idempotency key created within a day. Throws
   * `idempotency-mismatch` if `requestBody` differed.
   */
  create(
    fresh: Omit<StoredRollout, 'createdAt' | 'endedAt' | 'refused' | 'problem'>,
    request: RolloutRequest,
  ): Promise<StoredRollout>
  /** The rollout that this key already created, if any. */
  findByIdempotencyKey(request: RolloutRequest): Promise<StoredRollout | null>
  find(id: string): Promise<StoredRollout | null>
  /** Newest first. */
  list(page: PageRequest): Promise<{ rollouts: StoredRollout[]; next: string | null }>
  /** Oldest first. */
  unfinished(): Promise<StoredRollout[]>
  /**
   * Called before the gateway creates one of its deployments. False: not yet, because something
   * else must run alone (see `startLife`), or this rollout must and does not yet.
   */
  begin(id: string): Promise<boolean>
  /** Called when the deployment is created or refused. */
  made(id: string): Promise<void>
  refuse(id: string, deployment: string, problem: ProblemBody): Promise<void>
  /**
   * Targets that have not started never will, for this reason. The first reason stays. Does nothing
   * if the rollout has ended.
   */
  stop(id: string, problem: ProblemBody): Promise<void>
  end(id: string): Promise<void>
}
