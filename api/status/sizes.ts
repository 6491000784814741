import { z } from 'zod'

/** One limit of the gateway, and where it comes from. */
export const SizeFact = z.object({
  name: z.string(),
  value: z.number(),
  unit: z.enum(['at once', 'bytes', 'CPUs', 'processes', 'days']),
  setting: z.string(),
  /**
   * `setting`: the operator set it. `machine` or `volume`: it follows their size. `default`: a fixed
   * default.
   */
  from: z.enum(['setting', 'machine', 'volume', 'default']),
  /** How it follows the size, in words. Null: it does not. */
  rule: z.string().nullable(),
})
export type SizeFact = z.infer<typeof SizeFact>

/** The machine's size, and the limits that the gateway works with. */
export const SizesStatus = z.object({
  memoryBytes: z.number(),
  cpus: z.number(),
  /** The file system of the build cache. Null: it cannot be read. */
  volumeBytes: z.number().nullable(),
  limits: z.array(SizeFact),
})
export type SizesStatus = z.infer<typeof SizesStatus>
