import type { Deployment } from '#api/deployment.ts'
import { asProblem, Problem } from '#api/problem.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import { readProgress } from '../deploy/read-progress.ts'
import { aboutMachines } from '../deployments/gateway-died.ts'
import { failureIn, mayMove, touchesMachines } from '../deployments/states.ts'
import type { Claim, DeploymentPatch, DeploymentStore } from '../deployments/store.ts'
import type { Secrets } from '../secrets/vault.ts'
import { ClaimLost, DeploymentRecord } from './deployment-record.ts'
import { LogWriter } from './log-writer.ts'
import { outcomeOf, stage, tooLate } from './stage.ts'
import type { DeployInput, Steps, TakeInput } from './steps.ts'
import { UsageOfBuild } from './usage-of-build.ts'
import { limitsOf, withDeadline, type TimeLimits } from './time-limits.ts'

type RunDeps = {
  store: DeploymentStore
  steps: Steps
  limits: TimeLimits
  hiddenValues: readonly string[]
  logFailed?: (error: unknown) => void
}
type Run = Pick<RunDeps, 'steps' | 'limits' | 'hiddenValues'> & {
  store: Pick<DeploymentStore, 'stepTimes'>
  claim: Claim
  deployment: Deployment
  record: DeploymentRecord
  log: LogWriter
  usage: UsageOfBuild
  signal: AbortSignal
}

/** Runs a claimed deployment to its end. Returns the Problem, for the operator's log. */
export async function runDeployment(
  claim: Claim,
  { store, steps, limits: gatewayLimits, hiddenValues, logFailed }: RunDeps,
  stop: AbortSignal,
): Promise<Problem | null> {
  const { deployment } = claim
  const holder = { id: deployment.id, epoch: claim.epoch }
  const limits = limitsOf(await store.appSettings(deployment.app), gatewayLimits)
  const log = new LogWriter((events) => store.append(holder, events), hiddenValues, {
    limits: limits.log,
    failed: logFailed,
  })

  const late = () => tooLate('The deployment', { limit: 'total', limits, record })
  using whole = withDeadline(limits.totalMs, late, stop)
  const { signal } = whole
  const record = new DeploymentRecord(claim, {
    store,
    flushLog: () => log.flush(),
    unavailableMs: limits.unavailableMs,
    signal,
  })
  const usage = new UsageOfBuild()
  const parts = { claim, deployment, store, steps, record, log, usage }
  const run: Run = { ...parts, limits, hiddenValues, signal }

  try {
    crashPoint('in-state', `${deployment.app}/${record.state}`)
    const ready = await readyToDeploy(run)
    if (touchesMachines(record.state)) await rollOut(run, ready)
    return null
  } catch (error) {
    return await end(run, error)
  }
}

/** What to deploy, and how far an earlier run came. */
type Deployable = Pick<DeployInput, 'image' | 'desired' | 'rollout'>

/** Leaves the record in `deploying` or `built`, or where an earlier run left it at the machines. */
function readyToDeploy(run: Run): Promise<Deployable> {
  const { state } = run.record
  if (touchesMachines(state)) return resume(run)
  return state === 'pushing' ? take(run) : build(run)
}

/** Takes the image that was asked for by name. Leaves the record in `deploying`. */
async function take(run: Run): Promise<Deployable> {
  const { steps, log } = run
  await openSecrets(run)
  const effects = effectsOn(run)
  const { desired, ...taken } = await stage(run, 'Copying the image', 'build', (signal) =>
    steps.take({ deployment: run.deployment, emit: log.emit, ...effects, signal }),
  )

  await keepImage(run, 'deploying', taken)
  return { image: taken.image, desired, rollout: null }
}

/** From now on a restart deploys this image. */
async function keepImage(
  { record }: Run,
  to: 'deploying' | 'built',
  patch: DeploymentPatch,
): Promise<void> {
  crashPoint('image-known')
  await record.transition(to, patch)
}

/** What a step may do to the record. The digest counts for later tries of this run too. */
function effectsOn(run: Run): Pick<TakeInput, 'pushing' | 'pinned'> {
  const { record } = run
  let pushes = record.state === 'pushing' // a retried build pushes again
  return {
    pushing() {
      if (!pushes) record.queue('pushing')
      pushes = true
      crashPoint('pushing')
    },
    async pinned(requestedImage) {
      await record.amend({ requestedImage })
      run.deployment = { ...run.deployment, requestedImage }
    },
  }
}

/** Fetches, analyzes and builds the source. Leaves the record in `deploying` or `built`. */
async function build(run: Run): Promise<Deployable> {
  const { deployment, steps, record, log } = run
  const emit = run.usage.counting(log.emit)
  const secrets = await openSecrets(run)
  const tree = await stage(run, 'Fetching the source', 'fetch', (signal) =>
    steps.fetch(deployment, signal),
  )

  await record.transition('analyzing')
  const source = { deployment, tree, secrets, emit }
  const analysis = await stage(run, 'Planning', 'plan', (signal) =>
    steps.analyze({ ...source, signal }),
  )
  const { facts } = analysis.plan
  emit({ type: 'plan', ...facts })

  await record.transition('building', { plan: log.redacted(facts) })
  const effects = effectsOn(run)
  const built = await stage(run, 'The build', 'build', (signal) =>
    steps.build({ ...source, deployment: run.deployment, ...analysis, ...effects, signal }),
  )
  await record.settled() // the move to `pushing`

  const to = deployment.options.deploy ? 'deploying' : 'built'
  await keepImage(run, to, { ...built, ...usageOf(run) })
  return { image: built.image, desired: analysis.desired, rollout: null }
}

/** What the build used, for the record. A preview's is one of the app that it belongs to. */
function usageOf({ deployment, usage, store }: Run): ReturnType<UsageOfBuild['patchOf']> {
  const { app, preview } = deployment
  return usage.patchOf(preview?.app ?? app, store.stepTimes)
}

/** Prepares a deployment whose image exists: it has no source, or an earlier run has built it. */
async function resume(run: Run): Promise<Deployable> {
  // A release command may print the secrets, so redact them. If they cannot be opened, go on:
  // deploying needs none of them.
  await openSecrets(run).catch((error: unknown) =>
    run.log.emit({ type: 'warning', text: asProblem(error).message }),
  )
  return { image: run.deployment.image!, desired: null, rollout: progressOf(run.claim) }
}

/** The progress of an earlier run. If it cannot be read, the machines stay as that run left them. */
function progressOf({ deployment, rollout }: Claim): DeployInput['rollout'] {
  try {
    return readProgress(rollout)
  } catch (error) {
    const { code, message, facts, cause } = asProblem(error)
    const { machines } = deployment
    const detail = `${message} ${aboutMachines(deployment)}`
    throw new Problem(code, detail, { cause, facts: { ...facts, machines } })
  }
}

async function openSecrets({ deployment, steps, log, hiddenValues }: Run): Promise<Secrets> {
  const secrets = await steps.secrets(deployment)
  log.addSecrets([...hiddenValues, ...secrets.values()])
  return secrets
}

/** Deploys the image to the machines and verifies them. Leaves the record in `live`. */
async function rollOut(run: Run, { image, desired, ...ready }: Deployable): Promise<void> {
  const { deployment, steps, record, log } = run
  let { rollout } = ready
  const checkpoint: DeployInput['checkpoint'] = async (patch) => {
    await record.amend(patch)
    rollout = patch.rollout
  }
  const input = (signal: AbortSignal): DeployInput => {
    const redact = <T>(value: T) => log.redacted(value)
    // A suspect is none any more once it has left the state in which the gateway died.
    const isAlone = run.claim.suspect && record.state === run.claim.deployment.state
    const made = { deployment, image, desired, rollout, isAlone }
    return { ...made, checkpoint, emit: log.emit, redact, signal }
  }

  if (record.state === 'deploying') {
    await stage(run, 'The deploy', 'deploy', (signal) => steps.deploy(input(signal)))
    await record.transition('verifying')
  }

  const live = await stage(run, 'Verifying', 'deploy', (signal) => steps.verify(input(signal)))
  crashPoint('verified')
  await record.transition('live', live)
}

/** Writes how a failed deployment ends. Returns the Problem; null: it goes on later or elsewhere. */
async function end(run: Run, error: unknown): Promise<Problem | null> {
  const { record, log, signal } = run
  await record.settled().catch(() => {})
  await log.flush()
  if (error instanceof ClaimLost) return null

  const problem = asProblem(outcomeOf(error, signal))
  if (problem.code === 'stopping') {
    // The next start resumes a deployment that touches machines. Any other goes back to `pending`
    // and starts from the beginning. If a cancel was requested meanwhile, the store ends it
    // instead.
    if (!touchesMachines(record.state))
      await record.end('pending', { reason: log.redacted(problem.message) })
    return null
  }

  const failed = failureIn(record.state)
  const wanted =
    problem.code === 'superseded' || problem.code === 'cancelled' ? problem.code : failed
  const to = mayMove(record.state, wanted) ? wanted : failed
  await record.end(to, { problem: log.redactedProblem(problem.body()), ...usageOf(run) })
  return problem
}
