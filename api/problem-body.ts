import { z } from 'zod'
import { problemCodes } from './problem.ts'

/** A problem as it stands in the record, in the log and on the wire (RFC 9457); facts are extra members. */
export const ProblemBody = z.looseObject({
  type: z.string(),
  code: z.enum(problemCodes),
  title: z.string(),
  status: z.number(),
  detail: z.string(),
  fault: z.enum(['source', 'ours', 'fly']),
  retry: z.boolean(),
})
export type ProblemBody = z.infer<typeof ProblemBody>
