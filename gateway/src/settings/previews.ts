import { z } from 'zod'
import { count, number, port, secondsAsMs, text } from './kinds.ts'
import { setting } from './setting.ts'

/** Node fires a timer of more than 24.8 days at once. */
const minutesAsMs = number({ above: 0, max: 33_000 }).transform((value) => value * 60_000)

/** Limits of previews. The second names are those of an orchestrator that users come from. */
export const previews = {
  previews: z.object({
    perOwner: setting('TARMAC_PREVIEWS_PER_OWNER', count, 3, 'MAX_CONTAINERS_PER_USER').describe(
      'Previews at once of one owner of an app.',
    ),
    all: setting('TARMAC_MAX_PREVIEWS', count, 100).describe(
      'Previews at once of this gateway. A team’s limit is its quota `previews`.',
    ),
    pooled: setting('TARMAC_MAX_POOLED', count, 10).describe(
      'Previews at once that wait in warm pools. They do not count for the limits of previews.',
    ),
    ttlMs: setting(
      'TARMAC_PREVIEW_MINUTES',
      minutesAsMs,
      60,
      'MAX_CONTAINER_LIFETIME_MINUTES',
    ).describe(
      'Minutes that a preview lives, unless its request says fewer. An extension may ask for as many from then on.',
    ),
    readyMs: setting(
      'TARMAC_PREVIEW_TIMEOUT',
      secondsAsMs,
      300,
      'CONTAINER_TIMEOUT_SECONDS',
    ).describe('Seconds for the machine of a preview to start, and again to be ready.'),
    sweepMs: setting(
      'TARMAC_PREVIEW_SWEEP',
      minutesAsMs,
      5,
      'CONTAINER_CLEANUP_INTERVAL_MINUTES',
    ).describe('Minutes between two comparisons of the previews with what Fly has.'),
    memoryMb: setting('TARMAC_PREVIEW_MEMORY', count, 512, 'CONTAINER_MEMORY_MB').describe(
      'Memory of a preview’s machine in MiB, unless its template or its source says otherwise.',
    ),
    maxMemoryMb: setting(
      'TARMAC_PREVIEW_MAX_MEMORY',
      count,
      2048,
      'CONTAINER_MEMORY_LIMIT',
    ).describe('Most memory in MiB that the machines of a preview may have together.'),
    cpus: setting('TARMAC_PREVIEW_CPUS', count, 1, 'CONTAINER_CPU_COUNT').describe(
      'CPUs of a preview’s machine, unless its template or its source says otherwise.',
    ),
    cpuKind: setting(
      'TARMAC_PREVIEW_CPU_KIND',
      z.enum(['shared', 'performance']),
      'shared',
      'CONTAINER_CPU_KIND',
    ).describe('Kind of these CPUs.'),
    port: setting('TARMAC_PREVIEW_PORT', port, 8080, 'CONTAINER_INTERNAL_PORT').describe(
      'Port where a preview listens, unless its template or its source says otherwise.',
    ),
    image: setting('TARMAC_PREVIEW_IMAGE', text, '', 'PREVIEW_CONTAINER_IMAGE').describe(
      'Image of a preview whose request names none.',
    ),
  }),
}
