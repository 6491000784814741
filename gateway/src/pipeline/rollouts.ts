import { type Deployment, isFinal } from '#api/deployment.ts'
import type { ImageSource } from '#api/image-source.ts'
import { asProblem, Problem } from '#api/problem.ts'
import type { NewRollout, Rollout, RolloutTarget } from '#api/rollout.ts'
import { untilEnd } from '../deployments/follow.ts'
import type { KeptRollout } from '../deployments/rollout-store.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { Logger } from '../log.ts'

type Parts = {
  store: Pick<DeploymentStore, 'find' | 'eventsAfter' | 'changed' | 'wishCancel' | 'rollouts'>
  /** Says what is wrong with a source that all targets share. */
  look: (source: ImageSource, target: RolloutTarget) => Promise<unknown>
  /** Makes the target's deployment, under this id. */
  bring: (source: ImageSource, target: RolloutTarget, id: string) => Promise<unknown>
  newId: () => string
  log: Logger
}

/** One image to many targets: each gets a deployment of its own, so many at once, until too many have failed. */
export class Rollouts {
  readonly #parts: Parts
  readonly #stop = new AbortController()
  readonly #running = new Set<Promise<void>>()

  /** Takes up what an earlier gateway left. */
  static async start(parts: Parts): Promise<Rollouts> {
    const rollouts = new Rollouts(parts)
    for (const left of await parts.store.rollouts.unfinished()) rollouts.#begin(left)
    return rollouts
  }

  private constructor(parts: Parts) {
    this.#parts = parts
  }

  /** `build`: the deployment that makes the image. Under the same key the same rollout. */
  async create(
    { targets, ...asked }: NewRollout,
    build: string | null,
    request: { asked: unknown; idempotencyKey: string | null },
  ): Promise<Rollout> {
    const { store, newId, look } = this.#parts
    const { source } = asked
    if (source && (!('release' in source) || source.app !== undefined)) await look(source, targets[0]!)
    const names = targets.map(({ app, options }) => `${app}${options.owner ? ` of ${options.owner}` : ''}`)
    const twice = names.find((name, at) => names.indexOf(name) < at)
    if (twice) throw new Problem('option-invalid', `The target ${twice} is named twice; name it once.`)
    const id = newId()
    const wish = { id, ...asked, build, targets: targets.map((target) => ({ ...target, deployment: newId() })) }
    const kept = await store.rollouts.create(wish, request)
    if (kept.id === id) this.#begin(kept)
    return this.#shown(kept)
  }

  async find(id: string): Promise<Rollout> {
    const kept = await this.#parts.store.rollouts.find(id)
    if (kept) return this.#shown(kept)
    throw new Problem('rollout-not-found', `There is no rollout ${id.slice(0, 100)}.`)
  }

  #begin(kept: KeptRollout): void {
    const log = this.#parts.log.child({ rolloutId: kept.id })
    const work = this.#run(kept).catch((err: unknown) => log.error({ err }, 'rollout lost its runner'))
    const tracked = work.finally(() => this.#running.delete(tracked))
    this.#running.add(tracked)
  }

  /** Every step looks first, so that a rollout that is taken up again makes nothing twice. */
  async #run({ id, build, source, targets, parallel, stopAfter, refused }: KeptRollout): Promise<void> {
    const { store, bring } = this.#parts
    const built = build === null ? null : await this.#ended(build)
    let problem = built && built.state !== 'built' ? notBuilt(built) : null
    let failures = 0
    const queue = targets.values()
    const work = async () => {
      for (const { deployment, ...target } of queue) {
        let why = refused[deployment] ?? null
        if (!why && !(await store.find(deployment))) {
          if (problem || this.#stop.signal.aborted) continue
          why = await bring(source ?? { deployment: build! }, target, deployment).then(
            () => null,
            (error: unknown) => asProblem(error).body(),
          )
          if (why) await store.rollouts.refuse(id, deployment, why)
        }
        const failed = why !== null || isFailure(await this.#ended(deployment))
        if (failed && ++failures === stopAfter) {
          const detail = `Not begun: ${failures} of ${targets.length} targets failed, after which the rollout stops.`
          problem ??= new Problem('cancelled', detail)
          await this.#callBack(targets, detail)
        }
      }
    }
    await Promise.all(Array.from({ length: parallel }, work))
    if (!this.#stop.signal.aborted) await store.rollouts.end(id, problem?.body() ?? null)
  }

  /** What waits in the queue still has not begun either. */
  async #callBack(targets: KeptRollout['targets'], why: string): Promise<void> {
    const { store } = this.#parts
    for (const { deployment } of targets) {
      if ((await store.find(deployment))?.state !== 'pending') continue
      // One that is taken up at this very moment goes its way.
      await store.wishCancel(deployment, { by: 'its rollout', why, abort: false }).catch(() => {})
    }
  }

  /** The deployment at its end, or as it stands when the gateway stops. */
  async #ended(id: string): Promise<Deployment> {
    return (await untilEnd(this.#parts.store, id, this.#stop.signal))!
  }

  async #shown({ targets: wishes, refused, ...kept }: KeptRollout): Promise<Rollout> {
    const targets = await Promise.all(
      wishes.map(async ({ app, options, deployment: id }): Promise<Rollout['targets'][number]> => {
        const made = await this.#parts.store.find(id)
        const left = kept.endedAt === null ? 'waiting' : 'cancelled'
        return {
          app,
          owner: options.owner,
          deployment: made && id,
          state: made?.state ?? (refused[id] ? 'deploy_failed' : left),
          url: made?.url ?? null,
          problem: made?.problem ?? refused[id] ?? (made ? null : kept.problem),
        }
      }),
    )
    const counts: Rollout['counts'] = {}
    for (const { state } of targets) counts[state] = (counts[state] ?? 0) + 1
    return { ...kept, counts, targets }
  }

  /** Deployments that have begun go their way; what has not waits for the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#running)
  }
}

const isFailure = ({ state }: Deployment): boolean =>
  isFinal(state) && (state === 'deploy_failed' || state === 'build_failed')

function notBuilt({ id, state, problem }: Deployment): Problem | null {
  if (!isFinal(state)) return null
  return new Problem(
    'cancelled',
    `Not begun: deployment ${id}, which was to build the image, is ${state}. ${problem?.detail ?? ''}`,
  )
}
