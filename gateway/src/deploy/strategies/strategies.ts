import type { Strategy } from '#api/options/strategy.ts'
import type { Execution } from '../execution.ts'
import { bluegreen } from './bluegreen.ts'
import { canary } from './canary.ts'
import { immediate } from './immediate.ts'
import { rolling } from './rolling.ts'

/** Each strategy applies all machines. They share the health checks and the rollback. */
export const strategies: Record<Strategy, (execution: Execution) => Promise<void>> = {
  rolling,
  canary,
  bluegreen,
  immediate,
}
