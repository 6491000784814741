import { z } from 'zod'
import { DeploymentOptions } from './options.ts'
import { ProblemBody } from './problem-body.ts'

/** Where a deployment stands. The moves between states are in the gateway's `deployments/states.ts`. */
export const DeploymentState = z.enum([
  'pending',
  'fetching',
  'analyzing',
  'building',
  'pushing',
  'deploying',
  'verifying',
  'live',
  'built',
  'build_failed',
  'deploy_failed',
  'cancelled',
  'superseded',
])
export type DeploymentState = z.infer<typeof DeploymentState>

/** States that a deployment never leaves. */
export const finalStates = [
  'live',
  'built',
  'build_failed',
  'deploy_failed',
  'cancelled',
  'superseded',
] as const
export const isFinal = (state: DeploymentState): boolean =>
  (finalStates as readonly string[]).includes(state)

/** The source tree a deployment was made from. Sizes in bytes; `digest` as in `tree.ts`. */
export const SourceFacts = z.object({
  digest: z.string(),
  files: z.number(),
  sizeBytes: z.number(),
})
export type SourceFacts = z.infer<typeof SourceFacts>

/**
 * A pushed image. `reference` is `host/repository@sha256:…`; deploys use nothing else. `sizeBytes` is what its layers
 * weigh, compressed, over all its platforms. `way`, where it is known: an image by railpack takes its command as one text.
 */
export const ImageFacts = z.object({
  reference: z.string(),
  digest: z.string(),
  tags: z.array(z.string()),
  sizeBytes: z.number().optional(),
  way: z.enum(['railpack', 'dockerfile']).optional(),
})
export type ImageFacts = z.infer<typeof ImageFacts>

/** How a plan came about, as the record and the log tell it. */
export const PlanFacts = z.object({
  way: z.enum(['railpack', 'dockerfile']),
  /** Why this way: "Dockerfile at the root", "asked for by plan=…". */
  reason: z.string(),
  /** Which program planned: `railpack 0.37.0`, or the lab's stand-in, which says so. */
  planner: z.string(),
  provider: z.string().nullable(),
  versions: z.record(z.string(), z.string()),
  startCommand: z.string().nullable(),
})
export type PlanFacts = z.infer<typeof PlanFacts>

const MachineVersion = z.object({ instanceId: z.string(), image: z.string() })

/** What one machine ran before a deployment, what was tried on it, and what it runs after. Images by digest reference. */
export const MachineFacts = z.object({
  id: z.string(),
  name: z.string(),
  region: z.string(),
  before: MachineVersion.nullable(),
  /** Null where a blue or a superfluous machine was only taken away. */
  tried: MachineVersion.nullable().default(null),
  after: MachineVersion.nullable(),
  outcome: z.enum(['touched', 'verified', 'rolled_back', 'removed', 'stuck']),
})
export type MachineFacts = z.infer<typeof MachineFacts>

/** Who asked for a deployment's end, why, and whether machines that were touched are to be put back for it. */
export const CancelRequest = z.object({
  at: z.string(),
  by: z.string().nullable(),
  why: z.string().nullable(),
  abort: z.boolean(),
})
export type CancelRequest = z.infer<typeof CancelRequest>

/** One attempt to bring a source, or an image, to an app: what a reader may see of it. Times are ISO 8601, UTC. */
export const Deployment = z.object({
  id: z.string(),
  /** Order of birth within the app, from 1: an older deployment never lands over a newer one. */
  number: z.number(),
  app: z.string(),
  /** Whose machines of the app it is for; null: the app's. At most one deployment of (app, owner) is at work at a time. */
  owner: z.string().nullable(),
  state: DeploymentState,
  createdAt: z.string(),
  updatedAt: z.string(),
  endedAt: z.string().nullable(),
  attempt: z.number(),
  options: DeploymentOptions,
  source: SourceFacts.nullable(),
  /** The release whose config and env it takes over; null: its source says them. */
  from: z.object({ app: z.string(), owner: z.string().nullable(), release: z.number() }).nullable(),
  plan: PlanFacts.nullable(),
  image: ImageFacts.nullable(),
  /** The images that the build started from: the digest that each name stood for. */
  bases: z.record(z.string(), z.string()),
  machines: z.array(MachineFacts),
  /** Where the app answers, once it is live. */
  url: z.string().nullable(),
  /** The number of the release that it became. */
  release: z.number().nullable(),
  problem: ProblemBody.nullable(),
  /** Asked for; `cancelled` only when nothing of it runs any more. */
  cancel: CancelRequest.nullable(),
  /** When its log was taken away, for age or number; the record stays. */
  logDroppedAt: z.string().nullable(),
  /** The newer deployment that took its place, or will when nothing of it runs any more. */
  supersededBy: z.string().nullable(),
})
export type Deployment = z.infer<typeof Deployment>

/** `GET /v1/apps/{app}/deployments`: newest first; `next` is the cursor of the following page. */
export const DeploymentPage = z.object({
  deployments: z.array(Deployment),
  next: z.string().nullable(),
})
export type DeploymentPage = z.infer<typeof DeploymentPage>
