import { z } from 'zod'
import { FlyError } from './fly-error.ts'
import { type MachineConfig, withDefaults } from './machine-config.ts'

/** MiB for each CPU, and the step of the memory (fly.md 3.9). */
const rules = {
  shared: { cpus: [1, 2, 4, 6, 8], least: 256, most: 2048, step: 256 },
  performance: { cpus: [1, 2, 4, 6, 8, 10, 12, 14, 16], least: 2048, most: 8192, step: 1024 },
}

const Guest = z.looseObject({ cpu_kind: z.string(), cpus: z.number(), memory_mb: z.number() })

/**
 * Refuses a size that Fly does not sell. Fly's words for too little and too much memory are from
 * superfly/flyctl issues 1648 and 2329 and from public logs; those for CPUs and steps are made up.
 */
export function expectSoldSize(config: MachineConfig): void {
  const {
    cpu_kind: kind,
    cpus,
    memory_mb: memory,
    ...more
  } = Guest.parse(withDefaults(config).guest)
  if (more['gpu_kind'] || more['host_dedication_id']) return
  if (kind !== 'shared' && kind !== 'performance')
    return refuse('cpu_kind', 'must be shared or performance')
  const { cpus: counts, least, most, step } = rules[kind]
  if (!counts.includes(cpus)) refuse('cpus', `must be one of [${counts.join(' ')}]`)
  if (memory < least * cpus) refuse('memory_mb', `minimum required ${least * cpus} MiB`)
  if (memory > most * cpus) refuse('memory_mb', `cannot exceed ${most * cpus} MiB`)
  if (memory % step !== 0) refuse('memory_mb', `must be in ${step} MiB increments`)
}

function refuse(field: string, why: string): never {
  throw new FlyError(400, `invalid config.guest.${field}, ${why}`)
}
