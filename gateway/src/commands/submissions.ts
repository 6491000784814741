import { randomUUIDv7 } from 'node:crypto'
import type { Deployment } from '#api/deployment.ts'
import type { ImageSource } from '#api/image-source.ts'
import type { RolloutTarget } from '#api/rollout.ts'
import { crashPoint } from '../crash-point.ts'
import type { DeploymentStore, NewDeployment } from '../deployments/store.ts'
import { fromImage, type ExistingImageDeps } from './existing-image.ts'
import { retryOf } from './retry.ts'
import type { Vault } from '../secrets/vault.ts'
import { findDeployment } from './deployments.ts'
import type { Principal } from './principal.ts'

type SubmissionsDeps = ExistingImageDeps & {
  store: Pick<DeploymentStore, 'find' | 'releases' | 'create' | 'findByIdempotencyKey'>
  vault: Vault
  /** Throws a Problem if the gateway accepts no builds now. */
  assertAccepting: () => void
}
type Asked = Omit<NewDeployment, 'id' | 'secrets'> & {
  id?: string
  secrets?: ReadonlyMap<string, Uint8Array>
}
type Given = Pick<NewDeployment, 'asked' | 'idempotencyKey' | 'rollback'> & { id?: string }

/** Limit for calls to the registry while an HTTP caller waits. */
const askMs = 60_000

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
    _caller: Principal,
    { secrets = new Map(), id = randomUUIDv7(), ...asked }: Asked,
  ): Promise<Deployment> {
    const { store, vault } = this.#deps
    const deployment = await store.create({ id, ...asked, ...vault.sealFor(id, secrets) })
    crashPoint('record-made')
    return deployment
  }

  /** Creates a deployment of an existing image, release or deployment. */
  async deployExisting(
    caller: Principal,
    source: ImageSource,
    { app, options, ...given }: RolloutTarget & Given,
  ): Promise<Deployment> {
    const made = await this.#deps.store.findByIdempotencyKey(app, given)
    if (made) return made
    const found = await this.look(source, { app, options })
    return this.submit(caller, { app, ...found, ...given })
  }

  /** Resolves such a source. Throws a Problem if it cannot be deployed. */
  look(source: ImageSource, target: RolloutTarget): ReturnType<typeof fromImage> {
    return fromImage(target, source, this.#deps, AbortSignal.timeout(askMs))
  }

  /** Creates a deployment from an earlier one's source; with `reuseImage`, from its image. */
  async retry(
    caller: Principal,
    id: string,
    { reuseImage, idempotencyKey }: { reuseImage: boolean; idempotencyKey: string | null },
  ) {
    const { store, assertAccepting } = this.#deps
    const previous = await findDeployment(store, id)
    const given = { asked: { retry: id, reuseImage }, idempotencyKey }
    const made = await store.findByIdempotencyKey(previous.app, given)
    if (made) return made
    assertAccepting()
    const asked = await retryOf(previous, reuseImage, this.#deps)
    return this.submit(caller, { ...asked, ...given })
  }
}
