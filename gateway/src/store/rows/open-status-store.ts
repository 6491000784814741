import type { StatusStore } from '../../deployments/status/status-store.ts'
import { toDeployment } from '../record.ts'
import type { Tables } from '../tables.ts'

/** See `StatusStore`. */
export function openStatusStore({
  queue,
  costs,
  deployments,
  tools,
  disk,
  removals,
  sources,
}: Tables): StatusStore {
  return {
    unfinishedByTarget: async () => queue.unfinishedByTarget(),
    unfinishedByState: async () => queue.unfinishedByState(),
    newest: async (limit) => deployments.newest(limit).map(toDeployment),
    useRate: (rate) => tools.transaction(() => costs.useRate(rate)),
    countMachineTime: async () => tools.transaction(() => costs.settle()),
    machineTime: async (fromDay) => costs.since(fromDay),
    addDiskSample: async (sample) => tools.transaction(() => disk.add(sample)),
    diskSamples: async () => disk.all(),
    addRemoval: async (removal) =>
      tools.transaction(() => removals.add({ at: tools.time(), ...removal })),
    removals: async () => removals.all(),
    sourceBytes: async (keep) => sources.bytesInUse(keep, Date.parse(tools.time())),
  }
}
