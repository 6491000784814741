/** The router of an app whose owners share it: an app of its own, with an ordinary deployment. */
export type Router = {
  /** The app whose owners it knows. */
  app: string
  /** The router's own app. */
  router: string
  /** `users.example.com`: it finds the owner in the first label of a host below. Null: it does not. */
  domain: string | null
}

/** The option `trigger` of the deployments that the gateway makes of routers. */
export const routerTrigger = 'router'

/** Which apps have a router. Each method is one look-up in a table. */
export interface RouterStore {
  find(app: string): Router | null
  /** The app whose router this is. Null: it is none. */
  appOf(router: string): string | null
  list(): Router[]
  put(router: Router): void
  remove(app: string): void
}
