import { z } from 'zod'
import { AppName } from '../app.ts'
import { DeploymentOptions } from '../options.ts'
import { ProblemBody } from '../problem/body.ts'

/** How the machines of a pool wait. `suspended`: their memory is kept, so that they start faster. */
export const PoolRest = z.enum(['suspended', 'stopped'])
export type PoolRest = z.infer<typeof PoolRest>

/** Previews without an owner that wait for a request like them. Times are ISO 8601, UTC. */
export const Pool = z.object({
  app: z.string(),
  /** The name of a template of the app. Its newest version decides. */
  template: z.string(),
  image: z.string(),
  /** How many wait at once. */
  size: z.number(),
  rest: PoolRest,
  /** Null: the gateway's usual one. */
  region: z.string().nullable(),
  setAt: z.string(),
  setBy: z.string(),
  /** Why the last attempt to fill it failed. */
  problem: ProblemBody.nullable(),
})
export type Pool = z.infer<typeof Pool>

export const PoolView = Pool.extend({
  /** Those that a request can take. */
  ready: z.number(),
  /** Those that are being made. */
  warming: z.number(),
  /** Since 0:00 UTC. */
  claimedToday: z.number(),
})
export type PoolView = z.infer<typeof PoolView>

/** `GET /v1/pools` */
export const PoolList = z.object({ pools: z.array(PoolView) })
export type PoolList = z.infer<typeof PoolList>

export const PoolFilter = z.strictObject({ app: AppName.optional() })
export type PoolFilter = z.infer<typeof PoolFilter>

/** The body of `PUT /v1/apps/{app}/pools/{template}`. */
export const NewPool = z.strictObject({
  image: z.string().min(1).max(1024),
  size: z.int().min(1).max(1000),
  rest: PoolRest.default('suspended'),
  region: DeploymentOptions.shape.region,
})
export type NewPool = z.infer<typeof NewPool>
