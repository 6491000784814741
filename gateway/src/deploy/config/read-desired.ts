import { z } from 'zod'
import { strategies } from '#api/options/strategy.ts'
import { Problem } from '#api/problem.ts'
import { isMachineConfig, type MachineConfig } from '#fly/machine.ts'
import type { DesiredApp } from './desired-app.ts'

/** Kept as it is: fields that the gateway does not know, and their order, go to the machines. */
export const storedConfig = z.custom<MachineConfig>(isMachineConfig, 'no machine config')

const desiredGroup = fieldsOf(
  [
    ['was', 'lastApplied'],
    ['gone', 'removedPaths'],
  ],
  z.object({
    name: z.string(),
    config: storedConfig,
    whenNone: z.enum(['one', 'two', 'one-and-standby']).default('one'),
    count: z.number().nullable().default(null),
    machineChecks: z.array(storedConfig).exactOptional(),
    lastApplied: storedConfig.exactOptional(),
    removedPaths: z.array(z.string()).exactOptional(),
  }),
)

/** Early releases lack what has a default here. */
export const storedDesired = fieldsOf(
  [['release', 'releaseCommand']],
  z.object({
    groups: z.array(desiredGroup),
    strategy: z.enum(strategies),
    maxUnavailable: z.number().default(0.33),
    waitMs: z.number().nullable().default(null),
    releaseCommand: z
      .object({ config: storedConfig, timeoutMs: z.number() })
      .nullable()
      .default(null),
    volumes: z
      .record(
        z.string(),
        z.object({ size_gb: z.number(), snapshot_retention: z.number().exactOptional() }),
      )
      .default({}),
    region: z.string(),
    guest: z.looseObject({ cpu_kind: z.string(), cpus: z.number(), memory_mb: z.number() }),
    internalPort: z.number().nullable(),
    build: z.object({
      image: z.string().exactOptional(),
      dockerfile: z.string().exactOptional(),
      target: z.string().exactOptional(),
      args: z.record(z.string(), z.string()).default({}),
    }),
    definition: z.record(z.string(), z.unknown()).exactOptional(),
    warnings: z.array(z.string()).default([]),
  }),
) satisfies z.ZodType<DesiredApp>

/** The `desired` of a stored release. Throws `database-unusable` if it cannot be read. */
export const readDesired = (value: unknown): DesiredApp =>
  readStored(storedDesired, value, 'The desired config of a release')

/** An object whose fields may have the names that earlier gateways gave them. */
export function fieldsOf<T extends z.ZodType<unknown, Record<string, unknown>>>(
  earlierNames: [earlier: string, now: string][],
  schema: T,
) {
  const names = new Map(earlierNames)
  return z
    .record(z.string(), z.unknown())
    .transform((value) =>
      Object.fromEntries(
        Object.entries(value).map(([name, field]) => [names.get(name) ?? name, field]),
      ),
    )
    .pipe(schema)
}

/** Reads a stored value. `record` begins the sentence that says what cannot be read. */
export function readStored<T>(schema: z.ZodType<T>, value: unknown, record: string): T {
  const read = schema.safeParse(value)
  if (read.success) return read.data
  const [issue] = read.error.issues
  const where = issue ? ` (${issue.path.map(String).join('.')}: ${issue.message})` : ''
  const detail = `${record} is damaged and cannot be read${where}. The operator of the gateway can restore a backup (tarmac-gateway restore). Or send the source again.`
  throw new Problem('database-unusable', detail, { cause: read.error })
}
