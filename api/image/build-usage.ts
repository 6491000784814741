import { z } from 'zod'

/** CPU time of all steps, and the most memory, with its page cache, that one of them had at once. */
export const BuildUsage = z.object({ cpuMs: z.number(), peakMemoryBytes: z.number() })
export type BuildUsage = z.infer<typeof BuildUsage>

/**
 * How many steps of its build came from the cache, and how many ran. `savedMs`: how long the cached
 * ones took when they ran last for the app, together. Absent: not known of any of them.
 */
export const BuildSteps = z.object({
  cached: z.number(),
  run: z.number(),
  savedMs: z.number().optional(),
})
export type BuildSteps = z.infer<typeof BuildSteps>
