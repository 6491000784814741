import { z } from 'zod'
import { QuotaFact } from './quotas.ts'

/** A limit that holds for every caller. `setting`: what the operator can change it with; null: nothing. */
export const GatewayLimit = z.object({
  name: z.string(),
  value: z.number(),
  unit: z.string(),
  setting: z.string().nullable(),
})
export type GatewayLimit = z.infer<typeof GatewayLimit>

/** `GET /v1/limits`: what the caller may use. */
export const LimitsAnswer = z.object({
  /** The quotas of the caller's teams. `team` is absent while there is only one. Empty: no quota limits the caller. */
  quotas: z.array(QuotaFact.extend({ team: z.string().optional() })),
  limits: z.array(GatewayLimit),
})
export type LimitsAnswer = z.infer<typeof LimitsAnswer>
