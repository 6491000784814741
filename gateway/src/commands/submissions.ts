import { randomUUIDv7 } from 'node:crypto'
import type { Deployment } from '#api/deployment.ts'
import type { ImageSource } from '#api/image-source.ts'
import { Problem } from '#api/problem.ts'
import type { RolloutTarget } from '#api/rollout.ts'
import { crashPoint } from '../crash-point.ts'
import type { DeploymentStore, NewDeployment } from '../deployments/store.ts'
import { fromImage, type ExistingImageDeps } from './existing-image.ts'
import { retryOf } from './retry.ts'
import type { Vault } from '../secrets/vault.ts'

type Parts = ExistingImageDeps & {
  store: Pick<DeploymentStore, 'find' | 'releases' | 'create' | 'findByIdempotencyKey'>
  vault: Vault
  /** Throws the Problem that says why nothing is built now. */
  assertAccepting: () => void
  /** Something waits to be taken up. */
  wake: () => void
}
type Asked = Omit<NewDeployment, 'id' | 'secrets'> & {
  id?: string
  secrets?: ReadonlyMap<string, Uint8Array>
}
type Given = Pick<NewDeployment, 'asked' | 'idempotencyKey'> & { id?: string }

/** For questions to the registry that somebody waits for. */
const askMs = 60_000

/** The ways in which a deployment comes to be. What its key has made before is answered before anything is looked at. */
export class Submissions {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  async submit({ secrets = new Map(), id = randomUUIDv7(), ...asked }: Asked): Promise<Deployment> {
    const { store, vault, wake } = this.#parts
    const deployment = await store.create({ id, ...asked, ...vault.sealFor(id, secrets) })
    crashPoint('record-made')
    wake()
    return deployment
  }

  /** A new deployment of something that exists already. */
  async deployExisting(
    source: ImageSource,
    { app, options, ...given }: RolloutTarget & Given,
  ): Promise<Deployment> {
    const made = await this.#parts.store.findByIdempotencyKey(app, given)
    return made ?? this.submit({ app, ...(await this.look(source, { app, options })), ...given })
  }

  /** What is wrong with such a source, said as a Problem. */
  look(source: ImageSource, target: RolloutTarget): ReturnType<typeof fromImage> {
    return fromImage(target, source, this.#parts, AbortSignal.timeout(askMs))
  }

  /** A new deployment from what an earlier one was made of; `again`: of its very image. */
  async retry(
    id: string,
    { again, idempotencyKey }: { again: boolean; idempotencyKey: string | null },
  ) {
    const { store, assertAccepting } = this.#parts
    const former = await store.find(id)
    if (!former)
      throw new Problem('deployment-not-found', `There is no deployment ${id.slice(0, 100)}.`)
    const given = { asked: { retry: id, again }, idempotencyKey }
    const made = await store.findByIdempotencyKey(former.app, given)
    if (made) return made
    assertAccepting()
    return this.submit({ ...(await retryOf(former, again, this.#parts)), ...given })
  }
}
