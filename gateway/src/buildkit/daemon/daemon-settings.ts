import type { CacheLimits } from '../cache/cache-limits.ts'
import type { StepLimits } from './step-limits.ts'

export type DaemonSettings = {
  /** Absolute path of the daemon's program. Its network plugins are in the same folder. */
  command: string
  /** The folder for its configuration, socket and process record. */
  dir: string
  /** The folder of its cache. */
  root: string
  bridge: { name: string; subnet: string }
  /** The group that may use the daemon's socket. By default root's. */
  gid?: number
  /** DNS servers for build steps. Empty: those of the machine. */
  nameservers: readonly string[]
  /** Mirrors to try before a registry: from `docker.io` to a list of `host:port`. */
  mirrors: Record<string, string[]>
  /** Registries that speak plain HTTP, as `host:port`. */
  plainHttp: readonly string[]
  /** Limits of its cache. */
  cache: CacheLimits
  /** How many build steps may run at once, over all builds. */
  steps: number
  /** Limits of each step, and of all steps together. */
  limits: StepLimits
  /**
   * How many bytes of a step's output the daemon forwards from the beginning. Of the rest, only the
   * end is kept.
   */
  stepLogBytes: number
  /** How often the daemon is asked whether it hangs. Only tests set it. */
  look?: { everyMs: number; answerMs: number; misses: number }
}
