import type { PowerAction } from '#api/machines/machine-facts.ts'
import type {
  DestroyedOwner,
  Owner,
  OwnerFilter,
  OwnerPage,
  VolumesEnd,
} from '#api/owners/owner.ts'
import type { Principal } from '../../callers/principal.ts'
import type { Owned } from '../../deployments/owners/owner-store.ts'

/** `before`: the last name of the page before. */
export type OwnerPageRequest = { limit: number; before: string | null }

/** Machines per user: those of each owner of an app. */
export type OwnerCommands = {
  /** By name. Asks Fly once, however many owners there are. */
  list(
    caller: Principal,
    app: string,
    filter: OwnerFilter,
    page: OwnerPageRequest,
  ): Promise<OwnerPage>
  /** Throws `owner-not-found`. */
  show(caller: Principal, target: Owned): Promise<Owner>
  /**
   * Stops, suspends or starts all machines of an owner, and returns it as it is afterwards. Stopped ones
   * get no requests, and none starts them. Started ones answer, or are stopped again (`time-limit`).
   * Throws `owner-not-found`, `owner-not-ready`, and `app-busy` while a deployment changes them.
   */
  change(caller: Principal, target: Owned, action: PowerAction): Promise<Owner>
  /**
   * Destroys the machines of an owner, and with `delete` the volumes too, and an app of its own on Fly.
   * Cancels the deployments that wait in its lane. Sent again after a crash, it finishes. Throws
   * `owner-not-found` and `app-busy`.
   */
  destroy(caller: Principal, target: Owned, volumes: VolumesEnd): Promise<DestroyedOwner>
}
