import { z } from 'zod'
import { Crash, ImageFacts, ReleaseState } from './deployment.ts'

/** A secret of the app on Fly: its name, and a digest that changes with its value. */
export const SecretVersion = z.object({ name: z.string(), digest: z.string() })
export type SecretVersion = z.infer<typeof SecretVersion>

/**
 * What a target runs or ran. Made when a deployment goes live. Only `state` and `crashes` change
 * later, while it is the newest release of its target.
 */
export const Release = z.object({
  app: z.string(),
  /** The owner of the machines. Null: the whole app. */
  owner: z.string().nullable(),
  /** Numbered from 1 per app and owner. */
  number: z.number(),
  deployment: z.string(),
  createdAt: z.string(),
  /** `degraded`: a machine has crashed since the release went live, and has not recovered. */
  state: ReleaseState,
  /** The crashes of its machines since then, newest first; the newest 20. */
  crashes: z.array(Crash),
  image: ImageFacts,
  /** Environment by process group. Not secret: it came in a URL or with the source. */
  env: z.record(z.string(), z.record(z.string(), z.string())),
  /** Machine config by process group, without image and env. */
  config: z.record(z.string(), z.record(z.string(), z.unknown())),
  /** Secrets on Fly at that time. A rollback does not restore them. Null: Fly did not say. */
  secrets: z.array(SecretVersion).nullable(),
})
export type Release = z.infer<typeof Release>

/** `GET /v1/apps/{app}/releases`: newest first; `next` is the cursor of the next page. */
export const ReleasePage = z.object({ releases: z.array(Release), next: z.string().nullable() })
export type ReleasePage = z.infer<typeof ReleasePage>

/**
 * One value that differs, by its path (`env.app.PORT`). `before` or `after` is absent where the
 * value does not exist.
 */
export const Difference = z.object({ path: z.string(), before: z.unknown(), after: z.unknown() })
export type Difference = { path: string; before?: unknown; after?: unknown }

/** `GET /v1/apps/{app}/releases/{from}/diff/{to}`. */
export type ReleaseDiff = { from: number; to: number; differences: Difference[] }
