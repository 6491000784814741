import { z } from 'zod'
import { Problem } from '../problem.ts'
import { ReleasedAgain } from './released-again.ts'

/** Part of every error about the name of a runtime secret. Fly's rule: a variable's name. */
export const runtimeNameRule =
  'A runtime secret is named like a variable: letters, digits and _, at most 128, not beginning with a digit.'
const RuntimeName = z.string().regex(/^(?!__proto__$)[A-Za-z_]\w{0,127}$/, runtimeNameRule)

/** `valueBytes` of one value, `allBytes` of all values of one update, `count` names of one update. */
export const runtimeLimits = { valueBytes: 64 * 1024, allBytes: 512 * 1024, count: 500 }

/**
 * A secret of an app on Fly. Times are ISO 8601, UTC. `deployed`: the newest release of each target
 * has this value. `staged`: one has not. `removed`: it is gone from Fly, and a release still has it.
 * `unknown`: Fly did not say what the releases have.
 */
export const RuntimeSecret = z.object({
  name: z.string(),
  /** Changes with the value. Null: removed. */
  digest: z.string().nullable(),
  createdAt: z.string().nullable(),
  updatedAt: z.string().nullable(),
  state: z.enum(['deployed', 'staged', 'removed', 'unknown']),
  /** Who made a change that is not deployed. Null: it is deployed, or that is not known. */
  changedBy: z.enum(['tarmac', 'another tool']).nullable(),
})
export type RuntimeSecret = z.infer<typeof RuntimeSecret>

/** `GET /v1/apps/{app}/runtime-secrets`. `targets`: the newest releases of targets with machines. */
export const RuntimeSecrets = z.object({
  app: z.string(),
  /** Null: the app as a whole. */
  owner: z.string().nullable().default(null),
  secrets: z.array(RuntimeSecret),
  targets: z.array(z.object({ owner: z.string().nullable(), release: z.number() })),
  warnings: z.array(z.string()),
})
export type RuntimeSecrets = z.infer<typeof RuntimeSecrets>

/**
 * What an update has done, by name. `same`: it had this value already. `absent`: there was nothing to
 * remove.
 */
export const ChangedNames = z.object({
  added: z.array(z.string()),
  changed: z.array(z.string()),
  same: z.array(z.string()),
  removed: z.array(z.string()),
  absent: z.array(z.string()),
})
export type ChangedNames = z.infer<typeof ChangedNames>

/** `PATCH /v1/apps/{app}/runtime-secrets` and `POST …/runtime-secrets/deploy`. */
export const SecretsAnswer = ReleasedAgain.extend({
  app: z.string(),
  owner: z.string().nullable().default(null),
  ...ChangedNames.shape,
})
export type SecretsAnswer = z.infer<typeof SecretsAnswer>

/** `PATCH /v1/apps/{app}/secrets`. */
export const BuildSecretsAnswer = z.object({ app: z.string(), ...ChangedNames.shape })
export type BuildSecretsAnswer = z.infer<typeof BuildSecretsAnswer>

/** Throws `secret-invalid` unless Fly could keep all of these, before anything is sent. */
export function checkRuntimeSecrets(values: ReadonlyMap<string, string | null>): void {
  const { valueBytes, allBytes, count } = runtimeLimits
  const refuse = (detail: string) =>
    new Problem('secret-invalid', detail, { facts: { limits: runtimeLimits } })
  if (values.size === 0) throw refuse('The update names no secret.')
  if (values.size > count) throw refuse(`One update changes at most ${count} secrets.`)

  let sizeBytes = 0
  for (const [name, value] of values) {
    if (!RuntimeName.safeParse(name).success)
      throw refuse(`${JSON.stringify(name.slice(0, 100))} cannot be used. ${runtimeNameRule}`)
    if (value?.includes('\0'))
      throw refuse(`The value of ${name} has a NUL character, which no variable can have.`)
    const bytes = Buffer.byteLength(value ?? '')
    if (bytes > valueBytes)
      throw refuse(`The value of ${name} has ${bytes} bytes; at most ${valueBytes / 1024} KiB.`)
    sizeBytes += bytes
  }
  if (sizeBytes > allBytes)
    throw refuse(`All values of one update have at most ${allBytes / 1024} KiB together.`)
}
