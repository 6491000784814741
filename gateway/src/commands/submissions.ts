import { randomUUIDv7 } from 'node:crypto'
import type { Deployment } from '#api/deployment.ts'
import type { ImageSource } from '#api/image-source.ts'
import type { RolloutTarget } from '#api/rollout.ts'
import type { Caller } from '#api/callers/caller.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import type { DeploymentStore, NewDeployment } from '../deployments/store.ts'
import { fromImage, type ExistingImageDeps } from './existing-image.ts'
import { retryOf } from './retry.ts'
import type { Vault } from '../secrets/vault.ts'
import { findDeployment } from './deployments.ts'

type SubmissionsDeps = ExistingImageDeps & {
  store: Pick<DeploymentStore, 'find' | 'releases' | 'create' | 'findByIdempotencyKey'>
  vault: Vault
  /** Throws a Problem if the gateway accepts no builds now. */
  assertAccepting: () => void
}
type Submission = Omit<NewDeployment, 'id' | 'secrets' | 'triggeredBy'> & {
  id?: string
  secrets?: ReadonlyMap<string, Uint8Array>
}
type RequestKey = Pick<NewDeployment, 'requestBody' | 'idempotencyKey' | 'rollback'> & {
  id?: string
}

/** Limit for calls to the registry while an HTTP caller waits. */
const registryTimeoutMs = 60_000

/**
 * Creates deployments. If the idempotency key has already made one, returns that one before any
 * other check.
 */
export class Submissions {
  readonly #deps: SubmissionsDeps

  constructor(deps: SubmissionsDeps) {
    this.#deps = deps
  }

  async submit(
    { name, kind }: Caller,
    { secrets = new Map(), id = randomUUIDv7(), ...submission }: Submission,
  ): Promise<Deployment> {
    const { store, vault } = this.#deps
    const deployment = await store.create({
      id,
      ...submission,
      triggeredBy: { name, kind },
      ...vault.sealFor(id, secrets),
    })
    crashPoint('record-made')
    return deployment
  }

  /** Creates a deployment of an existing image, release or deployment. */
  async deployExisting(
    caller: Caller,
    source: ImageSource,
    { app, options, ...key }: RolloutTarget & RequestKey,
  ): Promise<Deployment> {
    const made = await this.#deps.store.findByIdempotencyKey(app, key)
    if (made) return made
    const found = await this.look(source, { app, options })
    return this.submit(caller, { app, ...found, ...key })
  }

  /** Resolves such a source. Throws a Problem if it cannot be deployed. */
  look(source: ImageSource, target: RolloutTarget): ReturnType<typeof fromImage> {
    return fromImage(target, source, this.#deps, AbortSignal.timeout(registryTimeoutMs))
  }

  /** Creates a deployment from an earlier one's source; with `reuseImage`, from its image. */
  async retry(
    caller: Caller,
    id: string,
    { reuseImage, idempotencyKey }: { reuseImage: boolean; idempotencyKey: string | null },
  ) {
    const { store, assertAccepting } = this.#deps
    const previous = await findDeployment(store, id)
    const key = { requestBody: { retry: id, reuseImage }, idempotencyKey }
    const made = await store.findByIdempotencyKey(previous.app, key)
    if (made) return made
    assertAccepting()
    const submission = await retryOf(previous, reuseImage, this.#deps)
    return this.submit(caller, { ...submission, ...key })
  }
}
