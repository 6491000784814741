import { z } from 'zod'
import { Caller } from './callers/caller.ts'
import { BuildSteps, BuildUsage } from './image/build-usage.ts'
import { MachineFacts } from './machines/deployed-machine.ts'
import { RequestedImage } from './image-source.ts'
import { DeploymentOptions } from './options.ts'
import { PreviewOf } from './previews/preview.ts'
import { ProblemBody } from './problem/body.ts'
import { DeploymentCost } from './status/cost.ts'

/** The state of a deployment. The gateway's `deployments/states.ts` has the transitions. */
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

/**
 * The source tree of a deployment. Sizes in bytes; `digest` as in `tree.ts`. `leftOut`: what the
 * gateway left out of the archive and why, as lines for people.
 */
export const SourceFacts = z.object({
  digest: z.string(),
  files: z.number(),
  sizeBytes: z.number(),
  leftOut: z.array(z.string()).optional(),
})
export type SourceFacts = z.infer<typeof SourceFacts>

/**
 * How an image came to the registry. Times in milliseconds. `ms`: from the start of the push to its
 * end. `copyMs`: from then until the registry had it, if it went through the mirror. `machine`: the
 * gateway's machine on Fly, whose host has the mirror. `reason`: why the image did not go through
 * the mirror that is set up, as a sentence.
 */
export const PushFacts = z.object({
  via: z.enum(['mirror', 'registry']),
  ms: z.number(),
  copyMs: z.number().optional(),
  machine: z.string().optional(),
  reason: z.string().optional(),
})
export type PushFacts = z.infer<typeof PushFacts>

/**
 * A pushed image. `reference` is `host/repository@sha256:…`. Machines get it with the first of
 * `tags` added, for people: the digest decides. `sizeBytes` is the compressed size of its layers,
 * over all platforms. `builder` is known for new images: a railpack image takes its command as one
 * string. `push`: of images that this gateway has pushed. `port`: the only one that it exposes.
 */
export const ImageFacts = z.object({
  reference: z.string(),
  digest: z.string(),
  tags: z.array(z.string()),
  sizeBytes: z.number().optional(),
  builder: z.enum(['railpack', 'dockerfile']).optional(),
  push: PushFacts.optional(),
  port: z.number().optional(),
})
export type ImageFacts = z.infer<typeof ImageFacts>

/** How the build was planned, in the record and the log. `none`: fly.toml names an image. */
export const PlanFacts = z.object({
  builder: z.enum(['railpack', 'dockerfile', 'none']),
  /** Why this builder: "Dockerfile at the root", "asked for by plan=…". */
  reason: z.string(),
  /** The program that planned: `railpack 0.37.0`, or the lab's stand-in, which says so. */
  planner: z.string(),
  provider: z.string().nullable(),
  versions: z.record(z.string(), z.string()),
  startCommand: z.string().nullable(),
})
export type PlanFacts = z.infer<typeof PlanFacts>

/**
 * A request to cancel a deployment: by whom, why, and whether to roll back machines that were
 * touched.
 */
export const CancelRequest = z.object({
  at: z.string(),
  by: z.string().nullable(),
  why: z.string().nullable(),
  abort: z.boolean(),
})
export type CancelRequest = z.infer<typeof CancelRequest>
/** As a caller sends it: the store adds the time. */
export type NewCancelRequest = Omit<CancelRequest, 'at'>

/**
 * A machine of a release that crashed after the release went live. Times are ISO 8601, UTC. The
 * release is degraded while `endedAt` is null.
 */
export const Crash = z.object({
  machine: z.string(),
  /** When it crashed first. */
  at: z.string(),
  /** When it crashed last, as far as known. */
  lastAt: z.string(),
  /** Why, as words that follow "the machine": "ended by itself with exit code 1". */
  why: z.string(),
  endedAt: z.string().nullable(),
  /**
   * `recovered`: it runs without further crashes, or its job has finished. `stopped`: somebody, or
   * Fly's autostop, has stopped it. `gone`: it was destroyed, or runs something else.
   */
  ending: z.enum(['recovered', 'stopped', 'gone']).nullable(),
})
export type Crash = z.infer<typeof Crash>

/** Whether a release serves as it went live. */
export const ReleaseState = z.enum(['healthy', 'degraded'])
export type ReleaseState = z.infer<typeof ReleaseState>

export const releaseStateOf = (crashes: Crash[]): ReleaseState =>
  crashes.some(({ endedAt }) => endedAt === null) ? 'degraded' : 'healthy'

/**
 * One attempt to deploy a source or an image to an app, as readers see it. Times are ISO 8601, UTC.
 */
export const Deployment = z.object({
  id: z.string(),
  /** Order of creation within the app, from 1. An older deployment never overwrites a newer one. */
  number: z.number(),
  app: z.string(),
  /**
   * The owner of the machines. Null: the whole app. Deployments of the same app and owner run one
   * at a time.
   */
  owner: z.string().nullable(),
  /** The app on Fly with the machines: `app`, or the owner's own. Empty: an older gateway, `app`. */
  flyApp: z.string().default(''),
  state: DeploymentState,
  createdAt: z.string(),
  updatedAt: z.string(),
  endedAt: z.string().nullable(),
  attempt: z.number(),
  options: DeploymentOptions,
  /** Who asked for it. Null: a gateway made it that did not record this. */
  triggeredBy: Caller.nullable().default(null),
  /** Where the request came from: an IP address. Null: not recorded, or the gateway made it itself. */
  callerAddress: z.string().nullable().default(null),
  source: SourceFacts.nullable(),
  /** The release whose config and env are used. Null: those of the source are used. */
  from: z
    .object({
      app: z.string(),
      owner: z.string().nullable(),
      release: z.number(),
      /** Variables of that release that the deployment leaves out. */
      withoutEnv: z.array(z.string()).optional(),
    })
    .nullable(),
  /** Set on a rollback: the target's newest release then, and the one that is deployed again. */
  rollback: z.object({ from: z.number().nullable(), to: z.number() }).nullable(),
  /** The deployment that this one retries. */
  retryOf: z.string().nullable(),
  /** The preview that it starts. `app` is then that preview's own app on Fly. */
  preview: PreviewOf.nullable().default(null),
  plan: PlanFacts.nullable(),
  image: ImageFacts.nullable(),
  requestedImage: RequestedImage.nullable().default(null),
  /** The base images of the build: the digest that each name had. */
  bases: z.record(z.string(), z.string()),
  machines: z.array(MachineFacts),
  /** The app's URL, once it is live. */
  url: z.string().nullable(),
  /** The number of the release that the deployment made. */
  release: z.number().nullable(),
  /**
   * Whether that release is degraded: a machine of it has crashed since. Null: the deployment made
   * no release. It is only watched while it is the newest of its target.
   */
  releaseState: ReleaseState.nullable().default(null),
  /** The crashes of its machines since it went live, newest first; the newest 20. */
  crashes: z.array(Crash).default([]),
  /** When it came into its state. Null: an older gateway did not record it. */
  stateSince: z.string().nullable().default(null),
  /** Milliseconds in each state that it has left, over all attempts. */
  phases: z.partialRecord(DeploymentState, z.number()).default({}),
  /** What the steps of its build used. Null: nothing was measured. */
  buildUsage: BuildUsage.nullable().default(null),
  /** Null: no step took place, as when the image existed already. */
  buildSteps: BuildSteps.nullable().default(null),
  /** What it took of the builder's machine, once it has ended. Null: nothing. */
  cost: DeploymentCost.nullable().default(null),
  /** What its release lacks of the one before, and secrets that another tool has changed. */
  warnings: z.array(z.string()).default([]),
  problem: ProblemBody.nullable(),
  /** A cancel request. The state becomes `cancelled` once nothing of the deployment runs any more. */
  cancel: CancelRequest.nullable(),
  /** When the log was dropped, for its age or the number of logs. The record stays. */
  logDroppedAt: z.string().nullable(),
  /**
   * The newer deployment that supersedes this one. The state follows once nothing of this one runs
   * any more.
   */
  supersededBy: z.string().nullable(),
})
export type Deployment = z.infer<typeof Deployment>

/** Newest first. `next`: the cursor of the next page. */
export const DeploymentPage = z.object({
  deployments: z.array(Deployment),
  next: z.string().nullable(),
})
export type DeploymentPage = z.infer<typeof DeploymentPage>
