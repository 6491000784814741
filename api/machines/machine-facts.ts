import { z } from 'zod'

/** What a caller can do to a machine: nothing of it changes but whether it runs. */
export const MachineAction = z.enum(['start', 'stop', 'restart'])
export type MachineAction = z.infer<typeof MachineAction>

/**
 * What a caller can do to all machines of a preview or an owner. A stopped or suspended one stays so:
 * no request starts it.
 */
export const PowerAction = z.enum(['stop', 'start', 'suspend'])
export type PowerAction = z.infer<typeof PowerAction>

/** A machine of an app, as Fly sees it now. Times are ISO 8601, UTC. */
export const MachineView = z.object({
  id: z.string(),
  /** The app on Fly that has it: the owner's own app, or the app itself. Empty: an older gateway, the app. */
  flyApp: z.string().default(''),
  name: z.string(),
  region: z.string(),
  /** Fly's word: `started`, `stopped`, `suspended`, `failed`, … */
  state: z.string(),
  /** The process group. */
  group: z.string(),
  /** The owner of the machine. Null: the app itself. */
  owner: z.string().nullable(),
  /** The deployment that made its version. Null: another tool did. */
  deployment: z.string().nullable(),
  image: z.string(),
  /** As Fly names sizes: `shared-cpu-1x`, with its memory in MiB. */
  size: z.string(),
  memoryMib: z.number(),
  checks: z.array(z.object({ name: z.string(), status: z.string() })),
  /** When it last changed its state. Null: Fly does not say. */
  changedAt: z.string().nullable(),
  /** Fly's proxy starts it at the next request although it was stopped. */
  startsByItself: z.boolean(),
  /** Fly's proxy sends it no traffic. */
  cordoned: z.boolean(),
})
export type MachineView = z.infer<typeof MachineView>

/** `GET /v1/apps/{app}/machines`. */
export const MachineList = z.object({ machines: z.array(MachineView) })
