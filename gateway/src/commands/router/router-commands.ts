import type { NewRouter, RouterAnswer, RouterList, RouterView } from '#api/router/router.ts'
import type { Principal } from '../../callers/principal.ts'

/** The router of an app whose owners share it. `router`: the name of the router's own app. */
export type RouterCommands = {
  /** From the records: Fly is not asked. */
  list(caller: Principal): Promise<RouterList>
  /** Throws `app-not-found` for an app without a router. */
  show(caller: Principal, target: { app: string; router: string }): Promise<RouterView>
  /**
   * Deploys the router, or an earlier release of it; or nothing if it runs so already. Throws
   * `app-name-taken` if the name of its app is another app's, and `release-not-found`.
   */
  deploy(
    caller: Principal,
    target: { app: string; router: string },
    request: NewRouter,
  ): Promise<RouterAnswer>
  /** Deletes the router's app. Throws `app-busy` while a deployment of it runs. */
  remove(caller: Principal, target: { app: string; router: string }): Promise<RouterAnswer>
}
