import { z } from 'zod'
import { PriceSource } from './prices.ts'

/**
 * What a deployment took of the builder's machine. Each second of the machine is shared evenly
 * among the deployments that are at work in it. `amount`: null when no price of some of the seconds
 * was known.
 */
export const DeploymentCost = z.object({
  machineSeconds: z.number(),
  amount: z.number().nullable(),
  currency: z.string().nullable(),
  prices: PriceSource.nullable(),
})
export type DeploymentCost = z.infer<typeof DeploymentCost>

/** `amount` counts the seconds whose price is known; `unpricedSeconds` are the others. */
export const CostSum = z.object({
  machineSeconds: z.number(),
  amount: z.number().nullable(),
  unpricedSeconds: z.number(),
})
export type CostSum = z.infer<typeof CostSum>

/** `work`: of deployments. `idle`: nothing was at work, so no app pays for it. */
const WorkAndIdle = z.object({ work: CostSum, idle: CostSum })

/** Days and months are those of UTC. */
export const CostStatus = z.object({
  currency: z.string().nullable(),
  prices: PriceSource.nullable(),
  /** Of this machine while it runs. */
  perHour: z.number().nullable(),
  /** Why amounts are missing, and what to do. */
  warning: z.string().nullable(),
  today: WorkAndIdle,
  month: WorkAndIdle,
  /** Of this month, newest first. */
  days: z.array(WorkAndIdle.extend({ day: z.string() })),
  /** Those with the most machine time of this month. */
  apps: z.array(z.object({ app: z.string(), today: CostSum, month: CostSum })),
})
export type CostStatus = z.infer<typeof CostStatus>

/** `0.0042 USD`: with as many digits as a small amount needs. */
export function moneyText(amount: number, currency: string): string {
  const digits = amount === 0 || amount >= 1 ? 2 : Math.min(8, 1 - Math.floor(Math.log10(amount)))
  return `${amount.toFixed(Math.max(2, digits))} ${currency}`
}
