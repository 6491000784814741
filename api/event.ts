import { z } from 'zod'
import { DeploymentState, PlanFacts } from './deployment.ts'
import { ProblemBody } from './problem-body.ts'

const State = z.object({
  type: z.literal('state'),
  from: DeploymentState.nullable(),
  state: DeploymentState,
  reason: z.string().optional(),
  problem: ProblemBody.optional(),
  url: z.string().optional(),
})

/** A step of the build. The same step comes several times; `ms` is its time so far, once it has ended. */
const Step = z.object({
  type: z.literal('step'),
  step: z.string(),
  name: z.string(),
  status: z.enum(['started', 'cached', 'done', 'failed']),
  ms: z.number().optional(),
  error: z.string().optional(),
})

/** Output of a step, whole lines, control characters as they came. */
const Log = z.object({
  type: z.literal('log'),
  step: z.string().nullable(),
  stream: z.enum(['stdout', 'stderr']),
  text: z.string(),
})

/** What a step printed here and is not kept, because it printed too much. */
const Dropped = z.object({
  type: z.literal('dropped'),
  step: z.string().nullable(),
  lines: z.number(),
  bytes: z.number(),
})

const Plan = PlanFacts.extend({ type: z.literal('plan') })
const Warning = z.object({ type: z.literal('warning'), text: z.string() })
const Note = z.object({ type: z.literal('note'), text: z.string() })
/** Here something is missing, or may be; the numbers go on without a gap. */
const Gap = z.object({ type: z.literal('gap'), text: z.string() })

/** What a pending deployment waits for, and how many come first: 1 is next. `behind`: the one of its lane before it. */
const Waiting = z.object({
  type: z.literal('waiting'),
  for: z.enum(['lane', 'app', 'builds', 'deploys', 'ready', 'recovery']),
  place: z.number(),
  behind: z.string().nullable(),
})
export type Waiting = z.infer<typeof Waiting>

/** What happened to one machine. Images by digest reference. */
const Machine = z.object({
  type: z.literal('machine'),
  machine: z.string(),
  region: z.string(),
  status: z.enum([
    'creating',
    'updating',
    'started',
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

/** What a part of the gateway tells the log; the store numbers and dates it. */
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
])
export type NewEvent = z.infer<typeof NewEvent>

/** One line of a deployment's log: numbered from 1 without gaps, `at` in ISO 8601, UTC. */
export const DeploymentEvent = z.intersection(
  z.object({ seq: z.number(), at: z.string() }),
  NewEvent,
)
export type DeploymentEvent = NewEvent & { seq: number; at: string }
