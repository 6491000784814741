import type { NewPool, Pool, PoolFilter, PoolView } from '#api/previews/pool.ts'
import type { Principal } from '../../callers/principal.ts'

/** Warm pools: previews that wait for a request like them. */
export type PoolCommands = {
  /** With what waits in each. */
  list(caller: Principal, filter: PoolFilter): Promise<PoolView[]>
  /**
   * Keeps `size` previews of a template waiting. Replaces the pool of this template. Throws
   * `template-not-found`, `image-gone` or `option-invalid`.
   */
  set(caller: Principal, app: string, template: string, pool: NewPool): Promise<Pool>
  /** Also destroys what waits in it. Throws `pool-not-found`. */
  remove(caller: Principal, app: string, template: string): Promise<Pool>
}
