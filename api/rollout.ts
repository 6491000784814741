import { z } from 'zod'
import { AppName } from './app.ts'
import { DeploymentState } from './deployment.ts'
import type { DeploymentOptions } from './options.ts'
import { ImageSource } from './image-source.ts'
import { ProblemBody } from './problem-body.ts'

/** One of many to bring the image to. On the wire its options stand beside `app`. */
export type RolloutTarget = { app: string; options: DeploymentOptions }

/** `POST /v1/rollouts`: at most `parallel` at once; after `stopAfter` failures the rest is cancelled. */
export const NewRollout = z.strictObject({
  targets: z
    .array(z.looseObject({ app: AppName }), 'a list of {"app": …} with options beside it')
    .min(1)
    .max(1000),
  parallel: z.number().int().min(1).max(100).default(4),
  stopAfter: z.number().int().min(1).max(1000).default(1),
})
/** `source` null: what the archive beside it builds. */
export type NewRollout = Omit<z.infer<typeof NewRollout>, 'targets'> & {
  source: ImageSource | null
  targets: RolloutTarget[]
}

/** How a target stands: `waiting` has no deployment yet, the others are its deployment's states. */
export const TargetState = z.enum(['waiting', ...DeploymentState.options])

/** `GET /v1/rollouts/{id}`: one record that sums up. */
export const Rollout = z.object({
  id: z.string(),
  createdAt: z.string(),
  endedAt: z.string().nullable(),
  parallel: z.number(),
  stopAfter: z.number(),
  source: ImageSource.nullable(),
  /** The deployment that builds what came as an archive. */
  build: z.string().nullable(),
  /** Targets in each state. */
  counts: z.partialRecord(TargetState, z.number()),
  /** Why targets were cancelled that had not begun. */
  problem: ProblemBody.nullable(),
  targets: z.array(
    z.object({
      app: z.string(),
      owner: z.string().nullable(),
      /** Null: it has not begun. */
      deployment: z.string().nullable(),
      state: TargetState,
      url: z.string().nullable(),
      problem: ProblemBody.nullable(),
    }),
  ),
})
export type Rollout = z.infer<typeof Rollout>

/** `GET /v1/rollouts`: newest first; of its targets only how many there are. */
export const RolloutPage = z.object({
  rollouts: z.array(Rollout.omit({ counts: true }).extend({ targets: z.number() })),
  next: z.string().nullable(),
})
export type RolloutPage = z.infer<typeof RolloutPage>
