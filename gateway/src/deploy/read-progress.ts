import { z } from 'zod'
import { MachineFacts, MachineSeen, SeenEvent } from '#api/machines/deployed-machine.ts'
import { ProblemBody } from '#api/problem/body.ts'
import { SecretVersion } from '#api/release.ts'
import { fieldsOf, readStored, storedConfig, storedDesired } from './config/read-desired.ts'
import type { DeployProgress } from './progress.ts'

const version = z.object({
  instanceId: z.string(),
  image: z.string(),
  seen: MachineSeen.exactOptional(),
})

const machineStep = fieldsOf(
  [
    ['former', 'previous'],
    ['rest', 'stopAfterwards'],
    ['tried', 'attempted'],
  ],
  z.object({
    role: z.preprocess(
      (role) => (role === 'release' ? 'releaseCommand' : role),
      z.enum([
        'update',
        'new',
        'green',
        'canary',
        'releaseCommand',
        'tested',
        'machineCheck',
        'blue',
        'gone',
      ]),
    ),
    name: z.string(),
    group: z.string(),
    region: z.string(),
    machine: z.string().nullable(),
    previous: version
      .extend({
        digest: z.string().nullable(),
        config: storedConfig,
        running: z.boolean(),
        asleep: z.boolean(),
        cordoned: z.boolean(),
        healthy: z.boolean(),
        crashes: z.number(),
      })
      .nullable(),
    base: storedConfig.nullable(),
    standbyFor: z.string().nullable(),
    replaces: z.string().exactOptional(),
    volumes: z.record(z.string(), z.string()),
    check: z.number().exactOptional(),
    launch: z.boolean(),
    stopAfterwards: z.boolean(),
    warning: z.string().exactOptional(),
    intent: z
      .enum(['create', 'update', 'start', 'uncordon', 'cordon', 'stop', 'destroy'])
      .nullable(),
    outcome: MachineFacts.shape.outcome.nullable(),
    attempted: version.nullable(),
    now: version.nullable(),
    events: z.array(SeenEvent).exactOptional(),
    marked: z.string().exactOptional(),
    lease: z.string().nullable(),
  }),
)

const storedProgress = fieldsOf(
  [
    ['slots', 'steps'],
    ['because', 'rollbackReason'],
    ['laid', 'appliedConfig'],
  ],
  z.object({
    desired: storedDesired,
    steps: z.array(machineStep),
    rollbackReason: ProblemBody.nullable(),
    live: z.boolean(),
    secrets: z.array(SecretVersion).exactOptional(),
    appliedConfig: z.record(z.string(), storedConfig).exactOptional(),
    flyRelease: z
      .object({
        after: z.number(),
        made: z.object({ id: z.string(), version: z.number() }).nullable(),
      })
      .exactOptional(),
  }),
) satisfies z.ZodType<DeployProgress>

/**
 * The stored progress of a deploy. Null: no machine was touched yet. Throws `database-unusable` if
 * it cannot be read.
 */
export const readProgress = (value: unknown): DeployProgress | null =>
  value === null || value === undefined
    ? null
    : readStored(storedProgress, value, 'The progress of the deploy')
