import { z } from 'zod'

/** What one app has of the build cache. */
export const AppCache = z.object({
  app: z.string(),
  /** What this app alone uses: cache mounts, sources and layers. */
  bytes: z.number(),
  /** Of these: cache mounts, such as a package manager’s downloads. */
  mountBytes: z.number(),
  /** Of these: source trees. */
  sourceBytes: z.number(),
  /** What it uses together with other apps, such as base images. Not part of `bytes`. */
  sharedBytes: z.number(),
  lastUsedAt: z.string(),
})
export type AppCache = z.infer<typeof AppCache>

/** The build cache by app. Every byte counts once: own parts, shared parts, and the rest. */
export const CacheUsage = z.object({
  totalBytes: z.number(),
  /** The limit of the whole cache. Null: the volume cannot be read. */
  maxBytes: z.number().nullable(),
  /** The limit of what one app may have for itself. */
  appBytes: z.number().nullable(),
  /** What builds of several apps used. */
  sharedBytes: z.number(),
  /** What nobody is known to use: the gateway’s own test builds, or older than its records. */
  otherBytes: z.number(),
  apps: z.array(AppCache),
})
export type CacheUsage = z.infer<typeof CacheUsage>

/** With the time of the measurement: it is at most a minute old. */
export const CacheStatus = CacheUsage.extend({ measuredAt: z.string() })
export type CacheStatus = z.infer<typeof CacheStatus>

/** What `DELETE /v1/apps/{app}/cache` removed. */
export const RemovedCache = z.object({
  app: z.string(),
  removedBytes: z.number(),
  /** What a running build of the app still uses. It goes by itself when no build uses it for long. */
  keptBytes: z.number(),
  /** Plans of earlier sources. */
  removedPlans: z.number(),
})
export type RemovedCache = z.infer<typeof RemovedCache>
