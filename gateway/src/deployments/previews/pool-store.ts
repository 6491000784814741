import type { Pool } from '#api/previews/pool.ts'
import type { ImageFacts } from '#api/deployment.ts'
import type { Preview, TemplateRef } from '#api/previews/preview.ts'
import type { ProblemBody } from '#api/problem/body.ts'

export type PoolName = Pick<Pool, 'app' | 'template'>

/** A preview that waits in a pool. It has no owner, and no list of previews shows it. */
export type PoolEntry = Preview & {
  /** See `fitsOf`. */
  fits: string
}

/** Whether a preview waits in a pool, or is made for it or removed from it: no request has it. */
export const isPooled = ({ owner }: Pick<Preview, 'owner'>): boolean => owner === ''

/** The states of an entry that a request can take. */
export const restStates = ['suspended', 'stopped'] as const

/** Which requests an entry fits: those of this template's version, image and region. */
export const fitsOf = ({
  template: { name, version },
  image: { digest },
  region,
}: {
  template: TemplateRef
  image: Pick<ImageFacts, 'digest'>
  region: string | null
}): string => `${name}@${version} ${digest} ${region ?? '-'}`

/**
 * Warm pools of previews. `DeploymentStore.create` makes an entry, or gives one to a request: by one
 * conditional update, in the transaction that checks the limits. Every method is atomic.
 */
export interface PoolStore {
  /** By app and template. */
  list(): Promise<Pool[]>
  /** Throws `option-invalid` if all pools together would have more than `most` entries. */
  set(pool: Omit<Pool, 'setAt' | 'problem'>, most: number): Promise<Pool>
  /** Null: there was none. Its entries stay. */
  remove(name: PoolName): Promise<Pool | null>
  /** Why it could not be filled. Null: it could. */
  note(name: PoolName, problem: ProblemBody | null): Promise<void>
  /** Those that have not ended, oldest first. */
  entries(): Promise<PoolEntry[]>
  /** How many requests took an entry since then (ISO 8601). */
  claimedSince(at: string): Promise<(PoolName & { n: number })[]>
  /** An entry waits in this state from now on. False: a request has it, or it is being destroyed. */
  rested(id: string, state: (typeof restStates)[number]): Promise<boolean>
  /** Destroys an entry. False: a request has it, or it is being destroyed. */
  drop(id: string): Promise<boolean>
  /**
   * Destroys a preview that a request took, and that does not start. It is nobody's then, and the
   * request's idempotency key is free again. False: it is not `starting` any more.
   */
  giveUp(preview: Pick<Preview, 'id' | 'deployment'>, problem: ProblemBody): Promise<boolean>
}
