import type { NewRollout, RolloutTarget } from '#api/rollout.ts'
import type { ProblemBody } from '#api/problem.ts'

/** A rollout as it is kept. Ids of deployments are chosen with it, so that none is made twice, whatever happens between. */
export type StoredRollout = Omit<NewRollout, 'targets'> & {
  id: string
  createdAt: string
  endedAt: string | null
  /** The deployment that builds what came as an archive; null: the source is there. */
  build: string | null
  targets: (RolloutTarget & { deployment: string })[]
  /** Why a target got no deployment, by the id that it would have had. */
  refused: Record<string, ProblemBody>
  /** Why targets that had not begun never will. */
  problem: ProblemBody | null
}

/** Keeps rollouts. Every method happens whole or not at all. */
export interface RolloutStore {
  /** Or the one that the same idempotency key made within a day; `idempotency-mismatch` when `asked` was something else. */
  create(
    fresh: Omit<StoredRollout, 'createdAt' | 'endedAt' | 'refused' | 'problem'>,
    request: { asked: unknown; idempotencyKey: string | null },
  ): Promise<StoredRollout>
  /** What this key made already, if anything. */
  findByIdempotencyKey(request: {
    asked: unknown
    idempotencyKey: string | null
  }): Promise<StoredRollout | null>
  find(id: string): Promise<StoredRollout | null>
  /** Newest first. `before` is a cursor of an earlier page. */
  list(page: {
    limit: number
    before: string | null
  }): Promise<{ rollouts: StoredRollout[]; next: string | null }>
  /** Oldest first. */
  unfinished(): Promise<StoredRollout[]>
  /**
   * The gateway is about to make one of its deployments. False: not yet, because something else must be alone at work (see
   * `startLife`), or this rollout must and is not.
   */
  begin(id: string): Promise<boolean>
  /** The deployment is made, or refused. */
  made(id: string): Promise<void>
  refuse(id: string, deployment: string, problem: ProblemBody): Promise<void>
  /** What has not begun never will, for this reason; the first one stays. Nothing for one that has ended. */
  stop(id: string, problem: ProblemBody): Promise<void>
  end(id: string): Promise<void>
}
