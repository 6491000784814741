import { z } from 'zod'

/**
 * What one machine used. Memory in bytes: what its programs and the kernel hold, without what can be
 * had again at once. CPU in CPUs: 1 is one CPU that was busy all the time.
 */
export const MachineMetrics = z.object({
  id: z.string(),
  /** The owner of the machine. Null: the app itself. */
  owner: z.string().nullable(),
  region: z.string(),
  /** The process group. */
  group: z.string(),
  /** The memory that the machine has. Null: Fly has not measured the machine in this time. */
  memoryTotalBytes: z.number().nullable(),
  /** At each step the memory and the CPUs in use, oldest first. Null: not measured then. */
  memoryBytes: z.array(z.number().nullable()),
  cpus: z.array(z.number().nullable()),
})
export type MachineMetrics = z.infer<typeof MachineMetrics>

/**
 * `GET /v1/apps/{app}/metrics`: what the app's machines used in the last `minutes`, as Fly measured
 * it. Times are ISO 8601, UTC: the first step is at `from`, the last at `to`.
 */
export const AppMetrics = z.object({
  from: z.string(),
  to: z.string(),
  stepSeconds: z.number(),
  machines: z.array(MachineMetrics),
  /** How many machines are not here, because the app has too many. Name an owner to see its own. */
  omitted: z.number(),
})
export type AppMetrics = z.infer<typeof AppMetrics>
