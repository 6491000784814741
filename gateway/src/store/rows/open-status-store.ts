import type { StatusStore } from '../../deployments/status/status-store.ts'
import type { Tables } from '../tables.ts'

/** See `StatusStore`. */
export function openStatusStore({ queue, costs, tools }: Tables): StatusStore {
  return {
    unfinishedByState: async () => queue.unfinishedByState(),
    useRate: (rate) => tools.transaction(() => costs.useRate(rate)),
    countMachineTime: async () => tools.transaction(() => costs.settle()),
    machineTime: async (fromDay) => costs.since(fromDay),
  }
}
