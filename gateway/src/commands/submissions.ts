import { randomUUIDv7 } from 'node:crypto'
import type { Deployment } from '#api/deployment.ts'
import type { ImageSource } from '#api/image-source.ts'
import type { RolloutTarget } from '#api/rollout.ts'
import type { SentSource } from '#api/sources/sent-source.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import { assertLinkFree } from '../deployments/callers/deploy-link.ts'
import type { DeploymentStore, NewDeployment } from '../deployments/store.ts'
import { fromImage, type ExistingImageDeps } from './existing-image.ts'
import { type RetryHow, retryOf } from './retry.ts'
import type { Sources } from '../sources/sources.ts'
import type { Vault } from '../secrets/vault.ts'
import type { Admission } from '../callers/admission.ts'
import type { Principal } from '../callers/principal.ts'
import { findDeployment } from './deployments.ts'
import { type SentSourcesDeps, takeSent } from './uploads/sent-sources.ts'

export type SubmissionsDeps = ExistingImageDeps &
  SentSourcesDeps & {
    store: Pick<DeploymentStore, 'find' | 'releases' | 'create' | 'findByIdempotencyKey'>
    sources: Pick<Sources, 'join'>
    vault: Vault
    admission: Pick<Admission, 'isExempt'>
    /** Throws a Problem if the gateway accepts no builds now. */
    assertAccepting: () => void
  }
type Submission = Omit<NewDeployment, 'id' | 'secrets' | 'triggeredBy' | 'callerAddress'> & {
  id?: string
  secrets?: ReadonlyMap<string, Uint8Array>
}
type RequestKey = Pick<NewDeployment, 'requestBody' | 'idempotencyKey' | 'rollback' | 'preview'> &
  Pick<Submission, 'id' | 'secrets'>

/** `withoutEnv`: variables of a release that its new deployment leaves out. */
type More = { withoutEnv?: string[]; inPlace?: boolean }

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
    caller: Principal,
    { secrets = new Map(), id = randomUUIDv7(), ...submission }: Submission,
  ): Promise<Deployment> {
    const { store, sources, vault, admission } = this.#deps
    const { name, kind, address: callerAddress, proof, link } = caller
    proof?.assertHolds() // an upload, or a question to the registry, has taken time
    const sealed = vault.sealFor(id, secrets)
    const exempt = admission.isExempt(caller)
    const by = { triggeredBy: { name, kind }, callerAddress, link: link?.id ?? null }
    const deployment = await store.create({ id, ...submission, ...sealed, exempt, ...by })
    if (submission.source) sources.join(submission.source.digest)
    link?.noteUse(deployment.id)
    crashPoint('record-made')
    return deployment
  }

  /**
   * Creates a deployment of a source that the caller has sent before. A known key needs that source no
   * more.
   */
  async deploySent(
    caller: Principal,
    source: SentSource,
    { app, ...more }: Omit<Submission, 'source'>,
  ): Promise<Deployment> {
    const { store, assertAccepting } = this.#deps
    const of = more.preview?.app ?? app
    const made = await store.findByIdempotencyKey(of, more)
    if (caller.link) assertLinkFree(caller.link.deployment, made?.id ?? null)
    if (made) return made
    assertAccepting()
    const taken = await takeSent(caller, { app: of, source }, this.#deps)
    const deployment = await this.submit(caller, { app, ...more, source: taken.source })
    crashPoint('upload-used')
    await taken.used()
    return deployment
  }

  /** Creates a deployment of an existing image, release or deployment. */
  async deployExisting(
    caller: Principal,
    source: ImageSource,
    { app, options, withoutEnv, inPlace, ...key }: RolloutTarget & RequestKey & More,
  ): Promise<Deployment> {
    const made = await this.#deps.store.findByIdempotencyKey(key.preview?.app ?? app, key)
    if (caller.link) assertLinkFree(caller.link.deployment, made?.id ?? null)
    if (made) return made
    // A preview runs its app's image from where it is: a copy for each would be slow.
    const stays = inPlace ?? key.preview !== undefined
    const more = { ...(withoutEnv && { withoutEnv }), inPlace: stays }
    const found = await this.look(source, { app, options, ...more })
    return this.submit(caller, { app, ...found, ...key })
  }

  /** Resolves such a source. Throws a Problem if it cannot be deployed. */
  look(source: ImageSource, target: RolloutTarget & More): ReturnType<typeof fromImage> {
    return fromImage(target, source, this.#deps, AbortSignal.timeout(registryTimeoutMs))
  }

  /** Creates a deployment from an earlier one's source; with `reuseImage`, from its image. */
  async retry(
    caller: Principal,
    id: string,
    { idempotencyKey, ...how }: RetryHow & { idempotencyKey: string | null },
  ) {
    const { store, assertAccepting } = this.#deps
    const previous = await findDeployment(store, id)
    const key = { requestBody: { retry: id, ...how }, idempotencyKey }
    const made = await store.findByIdempotencyKey(previous.app, key)
    if (made) return made
    assertAccepting()
    const submission = await retryOf(previous, how, this.#deps)
    return this.submit(caller, { ...submission, ...key })
  }
}

/** Throws `token-used` for a deploy link that made another deployment, before its source arrives. */
export async function assertLinkOpen(
  { link }: Principal,
  { app, idempotencyKey }: Pick<NewDeployment, 'app' | 'idempotencyKey'>,
  store: Pick<DeploymentStore, 'list'>,
): Promise<void> {
  if (!link) return
  const page = { limit: 1, before: null, key: idempotencyKey ?? null }
  const made = idempotencyKey ? (await store.list(app, page)).deployments[0] : undefined
  assertLinkFree(link.deployment, made?.id ?? null)
}
