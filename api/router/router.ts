import { z } from 'zod'
import { AppName } from '../app.ts'
import { Problem } from '../problem.ts'

const hostName = /^[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,10}$/

/** The body of `POST /v1/apps/{app}/router`. */
export const NewRouter = z
  .strictObject({
    /** `users.example.com`: the router finds the owner also in the first label of a host below it. */
    domain: z
      .string()
      .max(200)
      .regex(hostName, 'a domain is written as users.example.com, in lower case')
      .nullable()
      .default(null),
    /** An earlier release of the router: its program and its domain, with the routes of now. */
    release: z.number().int().positive().nullable().default(null),
  })
  .refine(({ domain, release }) => domain === null || release === null, {
    path: ['release'],
    message: 'a release has its own domain; leave one of the two out',
  })
export type NewRouter = z.infer<typeof NewRouter>

export const RouterAnswer = z.object({
  app: z.string(),
  /** The router's own app. */
  router: z.string(),
  domain: z.string().nullable(),
  /** The id of the deployment that makes or changes it. Null: there is nothing to change. */
  deployment: z.string().nullable(),
  warnings: z.array(z.string()),
})
export type RouterAnswer = z.infer<typeof RouterAnswer>

/** A router as its records have it. */
export const RouterSummary = z.object({
  app: z.string(),
  /** The router's own app. */
  router: z.string(),
  domain: z.string().nullable(),
  /** The release that runs. Null: none was live yet. */
  release: z.number().nullable(),
  /** The deployment that changes it now. Null: none. */
  deployment: z.string().nullable(),
  /** How many owners it knows. */
  owners: z.number(),
})
export type RouterSummary = z.infer<typeof RouterSummary>

/** `GET /v1/routers`, by the name of their app. */
export const RouterList = z.object({ routers: z.array(RouterSummary) })
export type RouterList = z.infer<typeof RouterList>

/** `GET /v1/apps/{app}/router`. `routes`: by owner, the machines that get its requests. */
export const RouterView = RouterSummary.extend({
  routes: z.array(z.object({ owner: z.string(), machines: z.array(z.string()) })),
})
export type RouterView = z.infer<typeof RouterView>

/** The name of the app of an app's router. Throws `app-name-invalid`. */
export function routerOf(app: string): string {
  const router = `${app}-router`
  if (AppName.safeParse(router).success) return router
  const detail = `The router of ${app} would be the app ${router}, and a name has at most 63 characters. Use an app with a shorter name.`
  throw new Problem('app-name-invalid', detail)
}
