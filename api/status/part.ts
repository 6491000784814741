import { z } from 'zod'

/** A part of the status that could not be read just now, and why. */
export const Unknown = z.object({ unknown: z.string() })
export type Unknown = z.infer<typeof Unknown>

/** A part of the status: its facts or why they are unknown. A gateway may lack the part. */
export const partOf = <Facts extends z.ZodType>(facts: Facts) =>
  z.union([Unknown, facts]).optional()

/** The facts of a part. Null: they are unknown, or the gateway lacks the part. */
export function factsOf<Facts extends object>(part: Facts | Unknown | undefined): Facts | null {
  return part === undefined || isUnknown(part) ? null : part
}

export const isUnknown = (part: object): part is Unknown => 'unknown' in part
