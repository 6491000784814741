import { z } from 'zod'
import { AppName } from './app.ts'
import { Caller } from './callers/caller.ts'
import { DeploymentState } from './deployment.ts'
import type { DeploymentOptions } from './options.ts'
import { ImageSource } from './image-source.ts'
import { ProblemBody } from './problem/body.ts'

/** One target of a rollout. In a request its options are beside `app`. */
export type RolloutTarget = { app: string; options: DeploymentOptions }

/**
 * `POST /v1/rollouts`: deploys at most `parallel` targets at once. After `maxFailures` failures it
 * cancels the rest.
 */
export const NewRollout = z.strictObject({
  targets: z
    .array(z.looseObject({ app: AppName }), 'a list of {"app": …} with options beside it')
    .min(1)
    .max(1000),
  parallel: z.number().int().min(1).max(100).default(4),
  maxFailures: z.number().int().min(1).max(1000).default(1),
})
/** `source` null: the image is built from the archive in the same request. */
export type NewRollout = Omit<z.infer<typeof NewRollout>, 'targets'> & {
  source: ImageSource | null
  targets: RolloutTarget[]
}

/**
 * State of a target: `waiting` has no deployment yet, the others are the states of its deployment.
 */
const TargetState = z.enum(['waiting', ...DeploymentState.options])

/** `GET /v1/rollouts/{id}`: the rollout with a summary. */
export const Rollout = z.object({
  id: z.string(),
  createdAt: z.string(),
  endedAt: z.string().nullable(),
  /** Who asked for it. Null: a gateway made it that did not record this. */
  triggeredBy: Caller.nullable().default(null),
  parallel: z.number(),
  maxFailures: z.number(),
  source: ImageSource.nullable(),
  /** The deployment that builds the archive. */
  build: z.string().nullable(),
  /** Number of targets in each state. */
  counts: z.partialRecord(TargetState, z.number()),
  /** Why targets were cancelled before they started. */
  problem: ProblemBody.nullable(),
  targets: z.array(
    z.object({
      app: z.string(),
      owner: z.string().nullable(),
      /** Null: it has not started. */
      deployment: z.string().nullable(),
      state: TargetState,
      url: z.string().nullable(),
      problem: ProblemBody.nullable(),
    }),
  ),
})
export type Rollout = z.infer<typeof Rollout>

/** `GET /v1/rollouts`: newest first, with only the number of targets. */
export const RolloutPage = z.object({
  rollouts: z.array(Rollout.omit({ counts: true }).extend({ targets: z.number() })),
  next: z.string().nullable(),
})
export type RolloutPage = z.infer<typeof RolloutPage>
