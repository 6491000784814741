import { z } from 'zod'
import { ImageFacts } from './deployment.ts'

/** A secret of the app on Fly: its name and the digest that tells one value from another. */
export const SecretVersion = z.object({ name: z.string(), digest: z.string() })
export type SecretVersion = z.infer<typeof SecretVersion>

/** What a target runs, or ran: made when its deployment goes live, and never changed. */
export const Release = z.object({
  app: z.string(),
  /** Whose machines of the app; null: the app's. */
  owner: z.string().nullable(),
  /** From 1 within (app, owner). */
  number: z.number(),
  deployment: z.string(),
  createdAt: z.string(),
  image: ImageFacts,
  /** Environment by process group. It came in a URL or with the source: not secret. */
  env: z.record(z.string(), z.record(z.string(), z.string())),
  /** Machine config by process group, without image and env. */
  config: z.record(z.string(), z.record(z.string(), z.unknown())),
  /** Secrets on Fly at that time, which no rollback turns back; null: Fly did not say. */
  secrets: z.array(SecretVersion).nullable(),
})
export type Release = z.infer<typeof Release>

/** `GET /v1/apps/{app}/releases`: newest first; `next` is the cursor of the following page. */
export const ReleasePage = z.object({ releases: z.array(Release), next: z.string().nullable() })
export type ReleasePage = z.infer<typeof ReleasePage>

/** One value that is not the same, by its path (`env.app.PORT`); a side where there is none lacks its field. */
export const Difference = z.object({ path: z.string(), before: z.unknown(), after: z.unknown() })
export type Difference = { path: string; before?: unknown; after?: unknown }

/** `GET /v1/apps/{app}/releases/{from}/diff/{to}`. */
export type ReleaseDiff = { from: number; to: number; differences: Difference[] }

/** `GET /v1/apps/{app}/audit`: what stands open, and what is not as the releases say. */
export type Audit = {
  app: string
  /** Whether this builder made the app. */
  made: boolean
  ips: { ip: string; public: boolean }[]
  services: { group: string; service: Record<string, unknown> }[]
  /** Machines that no deployment of this builder brought to where they are. */
  foreign: { id: string; name: string; state: string; region: string; image: string }[]
  /** Machines that differ from the newest release of their owner; `before` is the release's side. */
  drift: { machine: string; owner: string | null; release: number; differences: Difference[] }[]
}
