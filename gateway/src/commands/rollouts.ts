import { hash, randomUUIDv7 } from 'node:crypto'
import type { Caller } from '#api/callers/caller.ts'
import type { NewCancelRequest } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { NewRollout, Rollout, RolloutPage } from '#api/rollout.ts'
import type { PageRequest } from '../deployments/release-store.ts'
import type { RolloutRequest, StoredRollout } from '../deployments/rollout-store.ts'
import { cancelled } from '../deployments/stop.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { Logger } from '../log.ts'
import { TimeSlice } from '../time-slice.ts'
import type { Principal } from '../callers/principal.ts'
import { cancelIfMade, RolloutRun, sliceMs, type RolloutRunDeps } from './rollout-run.ts'

type RolloutsDeps = Omit<RolloutRunDeps, 'caller'> & {
  log: Logger
  /** What must still hold for the caller of a rollout that goes on after a restart. */
  proofOf: (caller: Caller) => Principal['proof']
}

/** Who makes the targets of a rollout after a restart. Quotas hold for it. */
const resumed: Principal = {
  kind: 'gateway',
  name: 'gateway',
  tokenId: null,
  scopes: ['deploy'],
  apps: null,
  owners: null,
  teams: null,
  address: null,
}

/**
 * Deploys one image to many targets. Each target gets its own deployment, `parallel` at a time.
 * Stops after `maxFailures` failures.
 */
export class Rollouts {
  readonly #deps: RolloutsDeps
  readonly #stop = new AbortController()
  /** By the id of the rollout. */
  readonly #running = new Map<string, { run: RolloutRun; ended: Promise<void> }>()

  /** Resumes the rollouts that an earlier gateway did not finish. */
  static async start(deps: RolloutsDeps): Promise<Rollouts> {
    const rollouts = new Rollouts(deps)
    for (const left of await deps.store.rollouts.unfinished()) {
      const proof = left.triggeredBy ? deps.proofOf(left.triggeredBy) : undefined
      rollouts.#begin(left, { ...resumed, ...left.triggeredBy, ...(proof && { proof }) })
    }
    return rollouts
  }

  /** How many have not ended. */
  get running(): number {
    return this.#running.size
  }

  private constructor(deps: RolloutsDeps) {
    this.#deps = deps
  }

  /** `build`: the deployment that builds the image. The same key returns the same rollout. */
  async create(
    caller: Principal,
    { targets, ...rest }: NewRollout,
    build: string | null,
    given: RolloutRequest,
  ): Promise<Rollout> {
    const { store, submissions } = this.#deps
    const request = { ...given, idempotencyKey: keyOf(caller, given.idempotencyKey) }
    const made = await store.rollouts.findByIdempotencyKey(request)
    if (made) return viewOf(made, store)

    const { source } = rest
    if (source && (!('release' in source) || source.app !== undefined))
      await submissions.look(source, targets[0]!)

    const id = randomUUIDv7()
    const rollout = {
      id,
      ...rest,
      build,
      triggeredBy: { name: caller.name, kind: caller.kind },
      targets: targets.map((target) => ({ ...target, deployment: randomUUIDv7() })),
    }
    const stored = await store.rollouts.create(rollout, request)
    if (stored.id === id) this.#begin(stored, caller)
    return viewOf(stored, store)
  }

  async find(id: string): Promise<Rollout> {
    return viewOf(await this.#stored(id), this.#deps.store)
  }

  async list(page: PageRequest): Promise<RolloutPage> {
    const { rollouts, next } = await this.#deps.store.rollouts.list(page)
    return { rollouts: rollouts.map(summaryOf), next }
  }

  /** Starts no further targets, and cancels those that have begun. Does nothing after the end. */
  async cancel(id: string, request: NewCancelRequest): Promise<Rollout> {
    const { build, targets, endedAt } = await this.#stored(id)
    if (endedAt === null) {
      const why = cancelled(request).body()
      const { store, cancel } = this.#deps
      await (this.#running.get(id)?.run.stop(why) ?? store.rollouts.stop(id, why))

      const slice = new TimeSlice(sliceMs)
      for (const made of [build, ...targets.map(({ deployment }) => deployment)]) {
        await slice.yield()
        if (made !== null) await cancelIfMade(cancel, made, request)
      }
    }
    return this.find(id)
  }

  async #stored(id: string): Promise<StoredRollout> {
    const stored = await this.#deps.store.rollouts.find(id)
    if (!stored) throw noRollout(id)
    return stored
  }

  #begin(rollout: StoredRollout, caller: Principal): void {
    const { id } = rollout
    const { store, log } = this.#deps
    const run = new RolloutRun(rollout, { ...this.#deps, caller }, this.#stop.signal)
    const ended = run
      .run()
      .catch(async (err: unknown) => {
        log.child({ rolloutId: id }).error({ err }, 'rollout lost its runner')
        // Without this, other deployments might wait for the rollout.
        await store.rollouts.made(id).catch(() => {})
      })
      .finally(() => this.#running.delete(id))
    this.#running.set(id, { run, ended })
  }

  /** Leaves running deployments alone. The next start resumes the rollouts. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await Promise.all([...this.#running.values()].map(({ ended }) => ended))
  }
}

/** Each caller has its own keys: it learns of no other's, and cannot use one up. */
const keyOf = ({ name }: Principal, key: string | null) =>
  key && hash('sha256', JSON.stringify([name, key]))

export const noRollout = (id: string) =>
  new Problem('rollout-not-found', `There is no rollout ${id.slice(0, 100)}.`)

/** A rollout as the API returns it, with the state of each target. */
async function viewOf(
  { targets: planned, refused, ...rollout }: StoredRollout,
  store: Pick<DeploymentStore, 'find'>,
): Promise<Rollout> {
  const slice = new TimeSlice(sliceMs)
  const targets: Rollout['targets'] = []
  for (const { app, options, deployment: id } of planned) {
    await slice.yield()
    const made = await store.find(id)
    const left = rollout.endedAt === null ? 'waiting' : 'cancelled'
    targets.push({
      app,
      owner: options.owner,
      deployment: made && id,
      state: made?.state ?? (refused[id] ? 'deploy_failed' : left),
      url: made?.url ?? null,
      problem: made?.problem ?? refused[id] ?? (made ? null : rollout.problem),
    })
  }

  const counts: Rollout['counts'] = {}
  for (const { state } of targets) counts[state] = (counts[state] ?? 0) + 1
  return { ...rollout, counts, targets }
}

/** A rollout in a list: with the number of its targets. */
const summaryOf = ({ refused: _refused, targets, ...rollout }: StoredRollout) => ({
  ...rollout,
  targets: targets.length,
})
