import { z } from 'zod'
import { problemCodes } from './codes.ts'

/** A problem as in the record, in the log and in responses (RFC 9457). Facts are extra members. */
export const ProblemBody = z.looseObject({
  type: z.string(),
  code: z.enum(problemCodes),
  title: z.string(),
  status: z.number(),
  detail: z.string(),
  fault: z.enum(['source', 'gateway', 'fly']),
  retry: z.boolean(),
})
export type ProblemBody = z.infer<typeof ProblemBody>
