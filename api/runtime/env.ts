import { z } from 'zod'
import { ChangedNames } from './secrets.ts'
import { ReleasedAgain } from './released-again.ts'

/**
 * A variable of an app's machines. `from`: the app's settings, which last; the options of the
 * deployment that made the release, which end with it; or the source (its config file, or a default).
 */
export const EnvEntry = z.object({
  name: z.string(),
  /** Looks like a secret: then its secret part is `***`. */
  value: z.string(),
  hidden: z.boolean(),
  from: z.enum(['settings', 'deployment', 'source']),
  /** `next`: it counts from the next deployment. */
  state: z.enum(['running', 'next']),
  /** Null: the whole app, or, with state `next`, all targets. */
  owner: z.string().nullable(),
  /** The process group. Null: all of them. */
  group: z.string().nullable(),
  /** The release that has it. Null: none yet. */
  release: z.number().nullable(),
})
export type EnvEntry = z.infer<typeof EnvEntry>

/** `GET /v1/apps/{app}/env`. */
export const EnvList = z.object({ app: z.string(), env: z.array(EnvEntry) })
export type EnvList = z.infer<typeof EnvList>

/** `PATCH /v1/apps/{app}/env`. `warnings`: values that look like secrets. */
export const EnvAnswer = ReleasedAgain.extend({
  app: z.string(),
  ...ChangedNames.shape,
  warnings: z.array(z.string()),
})
export type EnvAnswer = z.infer<typeof EnvAnswer>
