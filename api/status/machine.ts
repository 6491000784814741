import { z } from 'zod'

/** What a machine has, as the Machines API says it. */
export const GuestSize = z.object({ kind: z.string(), cpus: z.number(), memoryMb: z.number() })
export type GuestSize = z.infer<typeof GuestSize>

/** The size in a machine's config. Null: the config does not say it. */
export function guestSize(guest: Record<string, unknown> | undefined): GuestSize | null {
  const { cpu_kind: kind, cpus, memory_mb: memoryMb } = guest ?? {}
  if (typeof kind !== 'string' || typeof cpus !== 'number') return null
  return typeof memoryMb === 'number' ? { kind, cpus, memoryMb } : null
}

/** The machine of Fly that the gateway runs in. `size`: null while Fly has not said it. */
export const MachineStatus = z.object({
  app: z.string(),
  id: z.string(),
  region: z.string(),
  image: z.string(),
  size: GuestSize.nullable(),
})
export type MachineStatus = z.infer<typeof MachineStatus>

/** `performance, 2 CPUs, 4096 MB` */
export const sizeText = ({ kind, cpus, memoryMb }: GuestSize): string =>
  `${kind}, ${cpus} ${cpus === 1 ? 'CPU' : 'CPUs'}, ${memoryMb} MB`
