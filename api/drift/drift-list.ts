import { z } from 'zod'
import { DriftFinding } from './finding.ts'

/** An app at the last daily look. */
export const AppDrift = z.object({
  app: z.string(),
  lookedAt: z.string(),
  findings: z.array(DriftFinding),
  /** Why the app could not be looked at. Its findings are those of the look before. */
  problem: z.string().nullable(),
})
export type AppDrift = z.infer<typeof AppDrift>

/** `GET /v1/drift`: the apps with drift, or with a problem, at the last daily look. */
export const DriftList = z.object({
  /** The end of the last complete look at all apps. Null: there was none yet. */
  checkedAt: z.string().nullable(),
  /** How many apps the gateway has looked at. Null: the caller does not see all apps. */
  looked: z.number().nullable(),
  apps: z.array(AppDrift),
})
export type DriftList = z.infer<typeof DriftList>
