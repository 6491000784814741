import type { Deployment } from '#api/deployment.ts'
import type { NewestRelease } from '../release-store.ts'
import type { Owned, OwnerDestroys } from './owner-destroys.ts'

export type { Owned } from './owner-destroys.ts'

/** Why an owner's machines do not run. `destroyed`: its volumes were kept. */
export const restStates = ['stopped', 'suspended', 'destroyed'] as const
/** `at`: ISO 8601, UTC. */
export type Rest = { state: (typeof restStates)[number]; by: string; at: string }

/** What the store knows of the owners of an app. */
export interface OwnerStore {
  readonly destroys: OwnerDestroys
  /** The newest release of each owner, also of those that were destroyed, by the owner's name. */
  releases(app: string): Promise<(NewestRelease & Owned)[]>
  /** The deployments of the owner's lane that have not ended, oldest first. */
  unfinished(target: Owned): Promise<Deployment[]>
  /** Null: nobody has stopped them since they were started or deployed last. */
  restOf(target: Owned): Promise<Rest | null>
  /** By the owner's name. */
  rests(app: string): Promise<Map<string, Rest>>
  /** `rest` null: they were started. */
  setRest(target: Owned, rest: Omit<Rest, 'at'> | null): Promise<void>
  /**
   * Forgets an owner whose machines and volumes are gone: its rest, its releases up to the number
   * `release`, and which app on Fly it has. Keeps its deployments and their logs.
   */
  forget(target: Owned, release: number): Promise<void>
}
