import { z } from 'zod'

/**
 * A machine of a release that crashed after the release went live. Times are ISO 8601, UTC. The
 * release is degraded while `endedAt` is null.
 */
export const Crash = z.object({
  machine: z.string(),
  /** When it crashed first. */
  at: z.string(),
  /** When it crashed last, as far as known. */
  lastAt: z.string(),
  /** Why, as words that follow "the machine": "ended by itself with exit code 1". */
  why: z.string(),
  endedAt: z.string().nullable(),
  /**
   * `recovered`: it runs without further crashes, or its job has finished. `stopped`: somebody, or
   * Fly's autostop, has stopped it. `gone`: it was destroyed, or runs something else.
   */
  ending: z.enum(['recovered', 'stopped', 'gone']).nullable(),
})
export type Crash = z.infer<typeof Crash>

/** Whether a release serves as it went live. */
export const ReleaseState = z.enum(['healthy', 'degraded'])
export type ReleaseState = z.infer<typeof ReleaseState>

export const releaseStateOf = (crashes: Crash[]): ReleaseState =>
  crashes.some(({ endedAt }) => endedAt === null) ? 'degraded' : 'healthy'
