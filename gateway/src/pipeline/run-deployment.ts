import type { OwnSettings } from '#api/options/app-settings.ts'
import type { DeploymentState, ImageFacts } from '#api/deployment.ts'
import { asProblem, Problem } from '#api/problem.ts'
import { crashPoint } from '../crash-point.ts'
import { mayMove, touchesMachines } from '../deployments/states.ts'
import { stopReason } from '../deployments/stop.ts'
import type { Claim, DeploymentPatch, DeploymentStore } from '../deployments/store.ts'
import type { LogLimits } from './log-limit.ts'
import { LogWriter } from './log-writer.ts'
import type { Built } from '../build/built.ts'
import type { Plan, Steps } from './steps.ts'
import { retryWhileUnavailable } from './retry-unavailable.ts'

/**
 * Limits in milliseconds: for each stage, for the whole deployment, and for how long Fly, the
 * registry or the daemon may be unavailable. `log`: how much of the log to keep.
 */
export type TimeLimits = Record<
  'fetchMs' | 'planMs' | 'buildMs' | 'deployMs' | 'totalMs' | 'unavailableMs',
  number
> & {
  log?: LogLimits
}

/** Runs a claimed deployment to its end. Returns the Problem, for the operator's log. */
export async function runDeployment<P extends Plan>(
  claim: Claim,
  {
    store,
    steps,
    limits: gatewayLimits,
    hiddenValues,
    logFailed,
  }: {
    store: DeploymentStore
    steps: Steps<P>
    limits: TimeLimits
    hiddenValues: readonly string[]
    logFailed?: (error: unknown) => void
  },
  stop: AbortSignal,
): Promise<Problem | null> {
  const { deployment } = claim
  const holder = { id: deployment.id, epoch: claim.epoch }
  const limits = limitsOf(await store.appSettings(deployment.app), gatewayLimits)
  const log = new LogWriter(store, holder, hiddenValues, limits.log, logFailed)

  let state: DeploymentState = deployment.state
  let moving: Promise<void> = Promise.resolve()

  const late = (what: string, limitMs: number) => () =>
    new Problem('time-limit', `${what} took longer than ${limitMs / 1000} s.`, {
      facts: { state, limitMs },
    })
  using whole = withDeadline(limits.totalMs, late('The deployment', limits.totalMs), stop)
  const { signal } = whole

  /** Retries a write to the record: a full disk must not end the deployment. */
  const written = <T>(write: () => Promise<T>) =>
    retryWhileUnavailable(write, limits.unavailableMs, () => {}, signal)
  const transition = (
    to: DeploymentState,
    patch: DeploymentPatch & { reason?: string } = {},
  ): Promise<void> => {
    moving = moving.then(async () => {
      await log.flush()
      if (!(await written(() => store.advance(holder, state, to, patch)))) {
        const found = await store.find(deployment.id)
        throw (found && stopReason(found)) ?? new ClaimLost()
      }
      state = to
      crashPoint('in-state', `${deployment.app}/${to}`)
    })
    return moving
  }

  let { rollout } = claim
  const checkpoint = async (patch: DeploymentPatch) => {
    if (!(await written(() => store.amend(holder, patch)))) throw new ClaimLost()
    rollout = patch.rollout
  }
  /** Runs one stage within its time limit, and retries it while a service is unavailable. */
  const withRetries = async <T>(
    what: string,
    limitMs: number,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    using limited = withDeadline(limitMs, late(what, limitMs), signal)
    try {
      return await retryWhileUnavailable(
        () => work(limited.signal),
        limits.unavailableMs,
        log.emit,
        limited.signal,
      )
    } catch (error) {
      throw outcomeOf(error, limited.signal)
    }
  }

  const openSecrets = async () => {
    const secrets = await steps.secrets(deployment)
    log.addSecrets([...hiddenValues, ...secrets.values()])
    return secrets
  }

  const buildImage = async (): Promise<Built> => {
    const secrets = await openSecrets()
    const tree = await withRetries('Fetching the source', limits.fetchMs, (limited) =>
      steps.fetch(deployment, limited),
    )

    await transition('analyzing')
    const plan = await withRetries('Planning', limits.planMs, (limited) =>
      steps.analyze(deployment, tree, secrets, log.emit, limited),
    )
    log.emit({ type: 'plan', ...plan.facts })

    await transition('building', { plan: log.redacted(plan.facts) })
    let pushes = false // a retried build pushes again
    const pushing = () => {
      if (!pushes) transition('pushing').catch(() => {}) // the next `transition` reports the error
      pushes = true
      crashPoint('pushing')
    }

    return withRetries('The build', limits.buildMs, (limited) =>
      steps.build(deployment, tree, secrets, plan, pushing, log.emit, limited),
    )
  }

  const rollOut = async (image: ImageFacts) => {
    const work = (signal: AbortSignal) => ({
      deployment,
      image,
      rollout,
      checkpoint,
      emit: log.emit,
      signal,
    })

    if (state === 'deploying') {
      await withRetries('The deploy', limits.deployMs, (limited) => steps.deploy(work(limited)))
      await transition('verifying')
    }

    const live = await withRetries('Verifying', limits.deployMs, (limited) =>
      steps.verify(work(limited)),
    )
    crashPoint('verified')
    await transition('live', live)
  }

  try {
    crashPoint('in-state', `${deployment.app}/${state}`)
    let image = deployment.image
    if (touchesMachines(state))
      // A release command may print the secrets, so redact them. If they cannot be opened, go on:
      // deploying needs none of them.
      await openSecrets().catch((error: unknown) =>
        log.emit({ type: 'warning', text: asProblem(error).message }),
      )
    else {
      const built = await buildImage()
      image = built.image
      crashPoint('image-known')
      await transition(deployment.options.deploy ? 'deploying' : 'built', built)
    }
    if (touchesMachines(state)) await rollOut(image!)
    return null
  } catch (error) {
    await moving.catch(() => {})
    await log.flush()
    if (error instanceof ClaimLost) return null

    const problem = asProblem(outcomeOf(error, signal))
    if (problem.code === 'stopping') {
      // The next start resumes a deployment that touches machines. Any other goes back to `pending`
      // and starts from the beginning. If a cancel was requested meanwhile, the store ends it
      // instead.
      if (!touchesMachines(state))
        await store.advance(holder, state, 'pending', { reason: log.redacted(problem.message) })
      return null
    }

    const failed = touchesMachines(state) ? 'deploy_failed' : 'build_failed'
    const asked =
      problem.code === 'superseded' || problem.code === 'cancelled' ? problem.code : failed
    const end = mayMove(state, asked) ? asked : failed
    await store.advance(holder, state, end, { problem: log.redactedProblem(problem.body()) })
    return problem
  }
}

/** Another runner has claimed the deployment: stop, and write nothing more. */
class ClaimLost extends Error {}

const ms = (seconds: number | undefined, otherwiseMs: number) =>
  seconds ? seconds * 1000 : otherwiseMs

/** The app's own time limits, with the gateway's as defaults. */
function limitsOf(own: OwnSettings, gateway: TimeLimits): TimeLimits {
  return {
    ...gateway,
    fetchMs: ms(own.fetchSeconds, gateway.fetchMs),
    planMs: ms(own.planSeconds, gateway.planMs),
    buildMs: ms(own.buildSeconds, gateway.buildMs),
    deployMs: ms(own.deploySeconds, gateway.deployMs),
    totalMs: ms(own.totalSeconds, gateway.totalMs),
  }
}

/** A signal that fires with `signal`, and after `limitMs` with `late` as its reason. */
function withDeadline(
  limitMs: number,
  late: () => Problem,
  signal: AbortSignal,
): { signal: AbortSignal } & Disposable {
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(late()), limitMs)
  return {
    signal: AbortSignal.any([signal, over.signal]),
    [Symbol.dispose]: () => clearTimeout(timer),
  }
}

/**
 * The error to end with: the abort reason, unless machines could not be restored (`rollback-failed`).
 * If the error lists machines, the result keeps its message and facts.
 */
function outcomeOf(error: unknown, { aborted, reason }: AbortSignal): unknown {
  const own = error instanceof Problem ? error : null
  if (!aborted || own?.code === 'rollback-failed') return error
  if (!(reason instanceof Problem) || own?.facts['machines'] === undefined) return reason
  return new Problem(reason.code, own.message, { facts: { ...reason.facts, ...own.facts } })
}
