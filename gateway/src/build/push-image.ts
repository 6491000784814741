import type { PushFacts } from '#api/deployment.ts'
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import type { MirrorPush } from '../mirror/mirror-push.ts'
import type { BuildJob } from './build-job.ts'

type Solve = BuildJob['buildkit']['solve']
type Solved = Awaited<ReturnType<Solve>>
type Manifest = NonNullable<Awaited<ReturnType<BuildJob['registry']['manifest']>>>

/** Where a solve pushes to. `rebuild`: false if the steps have run already. */
export type PushTarget = { repository: string; rebuild: boolean } & Pick<
  Parameters<Solve>[1],
  'pushLogin' | 'pushing' | 'emit' | 'ended'
>
/** An image that the registry has, as it was read back. */
export type Pushed = { solved: Solved; manifest: Manifest; push: PushFacts }

type Job = Pick<
  BuildJob,
  'deployment' | 'registry' | 'mirror' | 'repository' | 'inputs' | 'emit' | 'pushing' | 'signal'
>
type SolveTo = (target: PushTarget) => Promise<Solved>

/**
 * Why the mirror failed for a build. All tries of a build share one signal, which is the key: only
 * the first may use the mirror.
 */
const failedFor = new WeakMap<AbortSignal, string>()

/**
 * Builds and pushes, through the mirror if it works. When the mirror fails, the same push starts
 * again to the registry, once: the steps are cached by then. Either way the image counts as pushed
 * only if the registry returns it.
 */
export async function pushImage(job: Job, solve: SolveTo): Promise<Pushed> {
  const { deployment, mirror, inputs, emit, signal } = job
  const failed = failedFor.get(signal)
  if (failed !== undefined) return pushStraight(job, solve, { reason: failed })
  if (inputs.platforms.length > 1) return pushStraight(job, solve, {})

  const path = mirror.begin(deployment.app)
  if (path.push === null)
    return pushStraight(job, solve, path.reason === null ? {} : { reason: path.reason })

  using push = path.push
  const first = new FirstTry(emit, push)
  try {
    const pushed = await pushThrough(job, push, first, solve)
    push.succeeded()
    return pushed
  } catch (error) {
    const why = reasonOf(error, push)
    if (why === null || signal.aborted) throw error
    push.failed(why)
    const reason = `The mirror ${why}.`
    failedFor.set(signal, reason)
    emit({ type: 'warning', text: `${reason} The image is pushed to ${push.registry} instead.` })
    const pushed = await pushStraight(job, solve, { reason, emit: first.rest, rebuild: false })
    return { ...pushed, solved: { ...pushed.solved, stats: first.stats ?? pushed.solved.stats } }
  }
}

/** Throws a `MirrorLate` if the registry does not get a copy in time. */
async function pushThrough(
  job: Job,
  push: MirrorPush,
  first: FirstTry,
  solve: SolveTo,
): Promise<Pushed> {
  const { deployment, mirror, emit, signal } = job
  const clock = startClock(job)
  const { host, login, registry, machine } = push
  const solved = await solve({
    repository: `${host}/${deployment.app}`,
    pushLogin: { host, login },
    rebuild: true,
    emit: first.emit,
    ended: (stats) => (first.stats = stats),
    pushing: () => clock.start(),
  })
  const ms = clock.ms()
  const seconds = (ms / 1000).toFixed(1)
  emit({ type: 'note', text: `Pushed through the mirror in ${seconds} s.` })

  const copyMs = await mirror.awaitCopy(deployment.app, solved.digest, signal)
  if (copyMs === null)
    throw new MirrorLate(`did not copy the image to ${registry} within ${mirror.copyMs / 1000} s`)
  const manifest = await readBack(job, solved.digest)
  const from = machine === null ? {} : { machine }
  return { solved, manifest, push: { via: 'mirror', ms, copyMs, ...from } }
}

async function pushStraight(
  job: Job,
  solve: SolveTo,
  more: { reason?: string; emit?: EventSink; rebuild?: boolean },
): Promise<Pushed> {
  const { repository, emit } = job
  const { reason } = more
  const clock = startClock(job)
  const solved = await solve({
    repository,
    rebuild: more.rebuild ?? true,
    emit: more.emit ?? emit,
    pushing: () => clock.start(),
  })
  const ms = clock.ms()
  const manifest = await readBack(job, solved.digest)
  return { solved, manifest, push: { via: 'registry', ms, ...(reason && { reason }) } }
}

/** Trusts a push only when the registry returns the manifest. */
export async function readBack(
  { deployment, registry, signal }: Pick<BuildJob, 'deployment' | 'registry' | 'signal'>,
  digest: string,
): Promise<Manifest> {
  const manifest = await registry.manifest(deployment.app, digest, signal)
  if (manifest) return manifest
  throw new Problem(
    'registry-unavailable',
    `The registry does not have ${digest}, although it accepted it.`,
  )
}

class MirrorLate extends Error {}

/** Why the mirror is at fault, in words that follow "the mirror". Null: it is not. */
function reasonOf(error: unknown, { failure }: MirrorPush): string | null {
  if (error instanceof MirrorLate) return error.message
  // Only a failed push has this fact. If the proxy saw no failure, the daemon found one.
  const isPush = error instanceof Problem && error.facts['registryStatus'] !== undefined
  if (!isPush) return null
  return failure?.message ?? `did not take the image (${errorMessage(error)})`
}

/** Measures from the start of the push. */
function startClock({ pushing }: Pick<BuildJob, 'pushing'>) {
  let from = performance.now()
  return {
    start() {
      from = performance.now()
      pushing()
    },
    ms: () => Math.round(performance.now() - from),
  }
}

/**
 * The events of a push through the mirror. If the mirror fails, its failed step is no news: the
 * push starts again. Nor are the steps that the second solve takes from the cache, or starts again.
 */
class FirstTry {
  stats: Solved['stats'] | null = null
  readonly #emit: EventSink
  readonly #push: MirrorPush
  readonly #said = new Set<string>()
  readonly #started = new Set<string>()

  constructor(emit: EventSink, push: MirrorPush) {
    this.#emit = emit
    this.#push = push
  }

  readonly emit: EventSink = (event) => {
    if (event.type === 'warning') this.#said.add(event.text)
    if (event.type === 'step' && event.status === 'started') this.#started.add(event.step)
    const isFailedPush = event.type === 'step' && event.status === 'failed' && this.#push.failure
    if (!isFailedPush) this.#emit(event)
  }

  readonly rest: EventSink = (event) => {
    const isKnown =
      (event.type === 'warning' && this.#said.has(event.text)) ||
      (event.type === 'step' && event.status === 'cached') ||
      (event.type === 'step' && event.status === 'started' && this.#started.has(event.step))
    if (!isKnown) this.#emit(event)
  }
}
