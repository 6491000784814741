import { z } from 'zod'
import { ProblemBody } from '#api/problem/body.ts'
import { NewerRecords } from '#api/status/backup.ts'

/** `make`: copies the records of `dir` to the new file. `check`: prepares the file for a restore. */
export const CopyJob = z.object({
  kind: z.enum(['make', 'check']),
  dir: z.string(),
  file: z.string(),
})

export const CopyResult = z.union([
  z.object({ problem: ProblemBody }),
  z.object({ sha256: z.string() }),
  z.object({ newer: NewerRecords.nullable(), deployments: z.number() }),
])
export type CopyResult = z.infer<typeof CopyResult>
