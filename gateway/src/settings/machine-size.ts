import { availableParallelism, totalmem } from 'node:os'

export type MachineSize = { memoryBytes: number; cpus: number }

/** The size of this machine, or of the container that limits this process. */
export const machineSize = (): MachineSize => ({
  memoryBytes: Math.min(totalmem(), process.constrainedMemory() || Infinity),
  cpus: availableParallelism(),
})

const gibibyte = 2 ** 30
const atOnce = { least: 2, most: 32 }

export const parallelismRule = `two for each CPU, at most one for each GiB of memory; ${atOnce.least} to ${atOnce.most}`

/**
 * How many builds, and how many build steps, a machine of this size runs at once. Memory is
 * rounded: the kernel keeps some of it, so a machine of 4 GiB shows a little less.
 */
export function parallelismOf({ memoryBytes, cpus }: MachineSize): number {
  const fitting = Math.min(2 * cpus, Math.round(memoryBytes / gibibyte))
  return Math.max(atOnce.least, Math.min(atOnce.most, fitting))
}
