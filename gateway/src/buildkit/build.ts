import type { EventSink } from '../deployments/event-sink.ts'
import type { Context } from './context/context-server.ts'
import type { Dockerfile } from './dockerfile.ts'
import type { BuildStats } from './progress.ts'
import type { SessionSecrets } from './session.ts'

/**
 * What to build: a build graph of ours with its image configuration, or a Dockerfile in the
 * context.
 */
export type Build =
  | { definition: Uint8Array; image: ImageConfig; context: Context | null }
  | {
      dockerfile: Dockerfile
      target: string | null
      buildArgs: Record<string, string>
      /** As in `linux/arm64`. */
      platform: string
      /** Prefix for the ids of cache mounts, so that each app has its own. */
      cacheKey: string
      /**
       * The host name of the steps. Steps with different host names never share a cached result.
       * Empty: the default.
       */
      hostname?: string
      context: Context
    }

/** An OCI image configuration. The client adds labels to its `config`. */
export type ImageConfig = {
  config?: { Labels?: Record<string, string> } & Record<string, unknown>
} & Record<string, unknown>

export type SolveOptions = {
  /** A unique name: the daemon refuses one that was used before. */
  ref: string
  app: string
  /** The prefix of the ids of the app's cache mounts, if a graph of ours has any. */
  cacheKey?: string
  /** Tags to push, as `host/repository:tag`. Empty: the results stay in the cache. */
  names: readonly string[]
  /** A host of those names with a login of its own. Null: the gateway's logins. */
  pushLogin?: { host: string; login: { user: string; secret: string } } | null
  labels: Record<string, string>
  /** Annotations of the image manifest. */
  annotations?: Record<string, string>
  /** Of new layers. The default is zstd, at the daemon's own level. */
  compression?: { type?: string | undefined; level?: number | undefined }
  secrets: SessionSecrets
  /** Run every step of a Dockerfile again, whatever is cached, and resolve image names again. */
  rebuild: boolean
  /** `host/repository:tag` of a build cache in a registry. Null: no such cache. */
  cache: string | null
  emit: EventSink
  /** Called once, when the push begins. Never called if the solve fails before. */
  pushing: () => void
  /** Called at the end, also after a failure. */
  ended?: (stats: BuildStats) => void
}

export type Solved = {
  digest: string
  stats: BuildStats
  /** The base images: each name with the digest that it meant. */
  bases: Record<string, string>
  /**
   * When the first of those names must be resolved again, in milliseconds since 1970. Null: never.
   */
  validUntil: number | null
}
