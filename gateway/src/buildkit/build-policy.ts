import { Problem } from '#api/problem.ts'
import { registryHost } from '#api/registries/address.ts'
import type { ImagePolicy } from './image-policy.ts'
import { policyAction, type PolicyAnswer, type PolicyQuestion } from './messages.ts'
import type { Pin } from './pin.ts'

const scheme = 'docker-image://'
const allow: PolicyAnswer = { decision: { action: policyAction.allow } }
const deny: PolicyAnswer = { decision: { action: policyAction.deny } }

type BuildFacts = {
  app: string
  /** The URLs at which the daemon reads the build's source. */
  contextUrls: readonly string[]
  /** Resolve the image names again, whatever is cached. */
  refresh: boolean
}

/**
 * Decides for each source that the daemon wants to read in one build: allow, deny, or pin to a
 * digest.
 */
export class BuildPolicy {
  readonly #policy: ImagePolicy
  readonly #facts: BuildFacts
  readonly #bases = new Map<string, string>()
  readonly #digests = new Set<string>()
  /** Within one build a name means one digest, however long the build takes. */
  readonly #pins = new Map<string, Pin>()
  /** Image names that the registry lets this app read, with their digests. */
  readonly #granted = new Map<string, string>()
  /** Of each registry, the repository that the daemon asked for last. */
  readonly #repositories = new Map<string, string>()
  #refused: Problem | null = null

  constructor(policy: ImagePolicy, facts: BuildFacts) {
    this.#policy = policy
    this.#facts = facts
  }

  /**
   * Like `answer`, but an image that is allowed by name must also be readable for this app at its
   * registry.
   */
  async check(question: PolicyQuestion, signal: AbortSignal): Promise<PolicyAnswer> {
    const image = question.about?.image
    if (image) this.#policy.learn(image)
    const answered = this.answer(question)
    const name = imageOf(question)
    if (name !== null) this.#noteRepository(name)
    const settled = answered.decision && answered.decision.action !== policyAction.allow
    if (settled || name === null) return answered
    try {
      return await this.#checkImage(name, question, answered, signal)
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      this.#refused ??= error
      return deny
    }
  }

  /** Decides by names alone, or asks the daemon to resolve the image first. */
  answer(question: PolicyQuestion): PolicyAnswer {
    const { app, contextUrls, refresh } = this.#facts
    const { source: { identifier = '', attrs = {} } = {}, image } = question.about ?? {}
    if (contextUrls.includes(identifier)) return allow

    const name = imageOf(question)
    if (name === null || !this.#policy.allows(app, name)) {
      this.#refused ??=
        name === null ? sourceForbidden(identifier) : this.#policy.forbidden(app, name)
      return deny
    }

    const [, tagged = name, ownDigest] = /^(.*)@(\w+:\w+)$/.exec(name) ?? []
    if (ownDigest) {
      if (!this.#bases.has(tagged)) this.#use(name, ownDigest)
      return allow
    }

    const known = this.#pins.get(name) ?? (refresh ? null : this.#policy.pinned(app, name))
    const pin = image ? this.#policy.pin(app, name, image.digest) : known
    if (!pin) return lookUpOf(question)

    this.#pins.set(name, pin)
    this.#use(name, pin.value)
    return {
      decision: {
        action: policyAction.convert,
        update: { identifier: `${identifier}@${pin.value}`, attrs },
      },
    }
  }

  /**
   * The repository for which the daemon wants a login: it names the registry alone. '' if it has
   * asked for no image there.
   */
  repositoryAt(host: string): string {
    return this.#repositories.get(registryHost(host)) ?? ''
  }

  /** The reason why the policy denied the build, if it did. */
  refused(): Problem | null {
    return this.#refused
  }

  /** The digest that each image name meant in this build. */
  bases(): Record<string, string> {
    return Object.fromEntries(this.#bases)
  }

  /**
   * When the first name must be resolved again, in milliseconds since 1970. Null: there are no
   * names.
   */
  validUntil(): number | null {
    const found = [...this.#pins.values()].map(({ at }) => at)
    return found.length > 0 ? Math.min(...found) + this.#policy.refreshMs : null
  }

  /** Removes the digests that this policy added to image names in a text. */
  withoutDigests(text: string): string {
    return text.replaceAll(/@(\w+:[\da-f]+)/g, (whole, digest: string) =>
      this.#digests.has(digest) ? '' : whole,
    )
  }

  /** Makes the next build resolve the names again. */
  forget(): void {
    this.#policy.forget(this.#facts.app, this.#bases.keys())
  }

  #noteRepository(name: string): void {
    const [, host = '', repository = ''] = /^([^/]+)\/([^:@]+)/.exec(name) ?? []
    this.#repositories.set(registryHost(host), repository)
  }

  #use(name: string, digest: string): void {
    this.#bases.set(name, digest)
    this.#digests.add(digest)
  }

  async #checkImage(
    name: string,
    question: PolicyQuestion,
    answered: PolicyAnswer,
    signal: AbortSignal,
  ): Promise<PolicyAnswer> {
    const { app } = this.#facts
    const digest = this.#granted.get(name) ?? (await this.#policy.demandAccess(app, name, signal))
    if (digest === null) return answered
    this.#granted.set(name, digest)
    if (answered.lookUp) {
      // Use the digest that the gateway found. The daemon gives one answer to all builds that
      // resolve a name at the same moment, with the access of the first.
      this.#pins.set(name, this.#policy.pin(app, name, digest))
      return this.answer(question)
    }
    return (await this.#policy.refuseAnotherApps(app, name, signal)) ? answered : lookUpOf(question)
  }
}

/** The full name of the image in question. Null: the source is not an image. */
function imageOf({ about }: PolicyQuestion): string | null {
  const identifier = about?.source?.identifier ?? ''
  return identifier.startsWith(scheme) ? identifier.slice(scheme.length) : null
}

function lookUpOf(question: PolicyQuestion): PolicyAnswer {
  const { identifier = '', attrs = {} } = question.about?.source ?? {}
  const logName = `[internal] load metadata for ${imageOf(question)}`
  return { lookUp: { source: { identifier, attrs }, platform: question.platform, logName } }
}

function sourceForbidden(source: string): Problem {
  const detail = `The build reads ${source}, which is neither an image nor in the source. Fetch it in a RUN step instead.`
  return new Problem('image-forbidden', detail, { facts: { source } })
}
