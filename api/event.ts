import { z } from 'zod'
import { Caller } from './callers/caller.ts'
import { DeploymentState, PlanFacts, ReleaseState } from './deployment.ts'
import { ProblemBody } from './problem/body.ts'

const State = z.object({
  type: z.literal('state'),
  from: DeploymentState.nullable(),
  state: DeploymentState,
  reason: z.string().optional(),
  problem: ProblemBody.optional(),
  url: z.string().optional(),
  /** In the first event: who asked for the deployment. */
  triggeredBy: Caller.optional(),
})

/** A build step. One step has several events. `ms` is its duration so far, once it has ended. */
const Step = z.object({
  type: z.literal('step'),
  step: z.string(),
  name: z.string(),
  status: z.enum(['started', 'cached', 'done', 'failed']),
  ms: z.number().optional(),
  /** CPU time of its program, and the most memory that it had at once. Absent: not measured. */
  cpuMs: z.number().optional(),
  peakMemoryBytes: z.number().optional(),
  error: z.string().optional(),
})

/** Output of a step: whole lines, with control characters as the step wrote them. */
const Log = z.object({
  type: z.literal('log'),
  step: z.string().nullable(),
  stream: z.enum(['stdout', 'stderr']),
  text: z.string(),
})

/** Output of a step that was not kept here, because the step printed too much. */
const Dropped = z.object({
  type: z.literal('dropped'),
  step: z.string().nullable(),
  lines: z.number(),
  bytes: z.number(),
})

const Plan = PlanFacts.extend({ type: z.literal('plan') })
/**
 * `file`, `line`: the place in the source that it is about, as far as known. Lines count from 1.
 * `code`: the instruction there.
 */
const Warning = z.object({
  type: z.literal('warning'),
  text: z.string(),
  file: z.string().optional(),
  line: z.number().optional(),
  code: z.string().optional(),
})
const Note = z.object({ type: z.literal('note'), text: z.string() })
/** Something is or may be missing here. The event numbers continue without a gap. */
const Gap = z.object({ type: z.literal('gap'), text: z.string() })

/**
 * What a pending deployment waits for, and its position: 1 is next. `behind`: the deployment before
 * it in its lane.
 */
export const Waiting = z.object({
  type: z.literal('waiting'),
  for: z.enum(['lane', 'app', 'team', 'builds', 'deploys', 'ready', 'paused', 'recovery']),
  place: z.number(),
  behind: z.string().nullable(),
})
export type Waiting = z.infer<typeof Waiting>

/** A change of one machine. Images by digest reference. */
const Machine = z.object({
  type: z.literal('machine'),
  machine: z.string(),
  region: z.string(),
  status: z.enum([
    'creating',
    'updating',
    'started',
    'updated',
    'created',
    'checking',
    'verified',
    'failed',
    'rolling_back',
    'rolled_back',
    'cordoned',
    'stopped',
    'removed',
    'stuck',
  ]),
  before: z.string().nullable().optional(),
  after: z.string().nullable().optional(),
  check: z.string().optional(),
  text: z.string().optional(),
})

/** What became of the release that the deployment made. It comes after the deployment's end. */
const Release = z.object({
  type: z.literal('release'),
  release: z.number(),
  state: ReleaseState,
  machine: z.string(),
  text: z.string(),
})

/**
 * A difference between what Tarmac expects of the app and what Fly has begins or ends. It comes after
 * the deployment's end, in the log of the app's newest release.
 */
const Drift = z.object({
  type: z.literal('drift'),
  state: z.enum(['begun', 'ended']),
  /** One of `driftCodes`. */
  code: z.string(),
  subject: z.string(),
  text: z.string(),
})

/** An event as a part of the gateway emits it. The store adds number and time. */
export const NewEvent = z.discriminatedUnion('type', [
  State,
  Step,
  Log,
  Dropped,
  Plan,
  Warning,
  Note,
  Gap,
  Waiting,
  Machine,
  Release,
  Drift,
])
export type NewEvent = z.infer<typeof NewEvent>

/** One line of a deployment's log. `seq` counts from 1 without gaps; `at` is ISO 8601, UTC. */
export const DeploymentEvent = z.intersection(
  z.object({ seq: z.number(), at: z.string() }),
  NewEvent,
)
export type DeploymentEvent = NewEvent & { seq: number; at: string }
