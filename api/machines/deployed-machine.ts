import { z } from 'zod'

/** How a machine was when the gateway read it last on a version. `output`: of a check that did not pass. */
export const MachineSeen = z.object({
  /** Fly's word: `started`, `stopped`, … */
  state: z.string(),
  checks: z.array(
    z.object({ name: z.string(), status: z.string(), output: z.string().optional() }),
  ),
})
export type MachineSeen = z.infer<typeof MachineSeen>

/** An event of Fly about a machine, with its words. `text`: why a program ended, or a start failed. */
export const SeenEvent = z.object({
  at: z.string(),
  type: z.string(),
  status: z.string(),
  text: z.string().optional(),
})
export type SeenEvent = z.infer<typeof SeenEvent>

const MachineVersion = z.object({
  instanceId: z.string(),
  image: z.string(),
  /** Absent: not recorded, as by an older gateway. */
  seen: MachineSeen.optional(),
})

/**
 * One machine: the version before the deployment, the attempted one, and the one after. Images by
 * digest reference.
 */
export const MachineFacts = z.object({
  id: z.string(),
  name: z.string(),
  region: z.string(),
  before: MachineVersion.nullable(),
  /**
   * Null when the deployment only removed the machine: an old one of bluegreen, or one too many.
   */
  tried: MachineVersion.nullable().default(null),
  after: MachineVersion.nullable(),
  outcome: z.enum(['touched', 'verified', 'rolled_back', 'removed', 'stuck']),
  /** What Fly says happened on the attempted version, newest first; at most 10. */
  events: z.array(SeenEvent).optional(),
  /** What is wrong with the machine although the deployment is live, in one or more sentences. */
  warning: z.string().optional(),
})
export type MachineFacts = z.infer<typeof MachineFacts>
