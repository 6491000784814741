import { z } from 'zod'
import { DeploymentState } from '../deployment.ts'
import { MachineView } from '../machines/machine-facts.ts'
import { ProblemBody } from '../problem/body.ts'

/**
 * What an owner's machines do. `idle`: none runs, and nobody stopped them here, so Fly starts them at
 * the next request. `crashed`: none runs, because the newest release has crashed. `missing`: Fly has
 * none. `deploying`: a deployment changes them, or makes the first. `kept`: the owner was destroyed,
 * and its volumes were not.
 */
export const OwnerState = z.enum([
  'running',
  'idle',
  'stopped',
  'suspended',
  'crashed',
  'missing',
  'deploying',
  'kept',
])
export type OwnerState = z.infer<typeof OwnerState>

/** `GET /v1/apps/{app}/owners`. */
export const OwnerFilter = z.strictObject({ state: OwnerState.optional() })
export type OwnerFilter = z.infer<typeof OwnerFilter>

/** An owner of machines of an app. Times are ISO 8601, UTC. */
export const OwnerSummary = z.object({
  app: z.string(),
  owner: z.string(),
  state: OwnerState,
  /** The app on Fly that has the machines: the owner's own, or `app` itself. */
  flyApp: z.string(),
  machineCount: z.number(),
  /** The newest release. Null: the owner has none yet. */
  release: z
    .object({ number: z.number(), deployment: z.string(), createdAt: z.string() })
    .nullable(),
  /** What the machines run, as Fly says it. Null: there is none. */
  image: z.string().nullable(),
  /** Of all machines together. */
  memoryMib: z.number(),
  /** While all machines run, without volumes. Null: a price is not known. */
  perHour: z.number().nullable(),
  url: z.string().nullable(),
  /** When it last changed. Null: Fly does not say. */
  since: z.string().nullable(),
})
export type OwnerSummary = z.infer<typeof OwnerSummary>

/** By name. `next` is the cursor of the next page. `currency`: of `perHour`. */
export const OwnerPage = z.object({
  owners: z.array(OwnerSummary),
  currency: z.string().nullable(),
  next: z.string().nullable(),
})
export type OwnerPage = z.infer<typeof OwnerPage>

const OwnerVolume = z.object({
  id: z.string(),
  name: z.string(),
  region: z.string(),
  sizeGb: z.number().nullable(),
  /** The machine that has it. Null: none. */
  machine: z.string().nullable(),
})
export type OwnerVolume = z.infer<typeof OwnerVolume>

/** `GET /v1/apps/{app}/owners/{owner}`. */
export const Owner = OwnerSummary.extend({
  currency: z.string().nullable(),
  machines: z.array(MachineView),
  volumes: z.array(OwnerVolume),
  /** The names of the variables of the newest release. */
  env: z.array(z.string()),
  /** The newest deployment, whatever became of it. Null: its record is not kept. */
  lastDeployment: z
    .object({
      id: z.string(),
      number: z.number(),
      state: DeploymentState,
      createdAt: z.string(),
      problem: ProblemBody.nullable(),
    })
    .nullable(),
  /** Who stopped, suspended or destroyed it, if nobody has started it since. */
  changedBy: z.object({ by: z.string(), at: z.string() }).nullable(),
})
export type Owner = z.infer<typeof Owner>

/** What `DELETE /v1/apps/{app}/owners/{owner}` does with the volumes. */
export const VolumesEnd = z.enum(['delete', 'keep'])
export type VolumesEnd = z.infer<typeof VolumesEnd>

/** What is gone: ids of machines and volumes. */
export const DestroyedOwner = z.object({
  app: z.string(),
  owner: z.string(),
  /** The owner's own app on Fly, if it is gone too. */
  flyApp: z.string().nullable(),
  machines: z.array(z.string()),
  volumes: z.object({ deleted: z.array(z.string()), kept: z.array(z.string()) }),
})
export type DestroyedOwner = z.infer<typeof DestroyedOwner>
