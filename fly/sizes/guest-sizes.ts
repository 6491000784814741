import { z } from 'zod'

/** fly.md 3.9, and superfly/docs: machines/guides-examples/machine-sizing. Memory in MiB. */
const sold = {
  shared: { cpus: [1, 2, 4, 6, 8], leastPerCpu: 256, mostPerCpu: 2048, step: 256 },
  performance: {
    cpus: [1, 2, 4, 6, 8, 10, 12, 14, 16],
    leastPerCpu: 2048,
    mostPerCpu: 8192,
    step: 1024,
  },
} as const

/** Machines with GPUs and those on hosts of one's own are not of this table. */
const Guest = z.looseObject({
  cpu_kind: z.enum(['shared', 'performance']),
  cpus: z.number(),
  memory_mb: z.number(),
  gpu_kind: z.never().optional(),
  host_dedication_id: z.never().optional(),
})

/** `asked`: what nobody can buy. `sold`: a sentence that says which sizes there are. */
export type UnsoldSize = { asked: string; sold: string }

/** What is wrong with the size of a machine. Null: Fly sells it, or the table does not know it. */
export function unsoldSize(guest: unknown): UnsoldSize | null {
  const read = Guest.safeParse(guest)
  if (!read.success) return null
  const { cpu_kind: kind, cpus, memory_mb: memoryMb } = read.data
  const table = sold[kind]
  const asked = `${memoryMb} MiB of memory and ${cpus} ${kind} CPU${cpus === 1 ? '' : 's'}`
  if (!table.cpus.some((count) => count === cpus))
    return { asked, sold: `Fly has machines with ${table.cpus.join(', ')} ${kind} CPUs.` }

  const [least, most] = [table.leastPerCpu * cpus, table.mostPerCpu * cpus]
  if (memoryMb >= least && memoryMb <= most && memoryMb % table.step === 0) return null
  const range = `Fly takes ${least} to ${most} MiB for that, in steps of ${table.step} MiB`
  return { asked, sold: `${range}${nearest(memoryMb, { least, most, step: table.step })}.` }
}

/** The sizes on both sides of one between two steps. */
function nearest(
  memoryMb: number,
  { least, most, step }: { least: number; most: number; step: number },
): string {
  const below = Math.floor(memoryMb / step) * step
  return below >= least && below + step <= most && below !== memoryMb
    ? `: ${below} or ${below + step}, for example`
    : ''
}
