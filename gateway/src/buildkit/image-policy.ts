import { Problem } from '#api/problem.ts'
import { imageName } from '../llb/image-name.ts'
import { policyAction, type PolicyAnswer, type PolicyQuestion } from './messages.ts'

export type ImageRules = {
  /** Hosts, or repositories and folders of them (`docker.io`, `ghcr.io/acme`), that images may come from. */
  allowed: readonly string[]
  /** Images, as in `allowed`, that may read a Dockerfile in the daemon's place, where its syntax line asks for it. */
  frontends: readonly string[]
  /** The registry that holds the apps' own images: a build may start from those of its own app alone. */
  own: string
  /** For how long a name goes on standing for the digest that was found for it. */
  refreshMs: number
}

const scheme = 'docker-image://'

/**
 * Says which images builds may start from, and which digest each of their names stands for. What a name stands for is
 * kept per app: an app learns nothing of an image that another's login opened.
 */
export class ImagePolicy {
  readonly #rules: ImageRules
  readonly #pins = new Map<string, { digest: string; at: number }>()

  constructor(rules: ImageRules) {
    this.#rules = rules
  }

  /** The answers to one build. `anew`: what its images' names stand for is looked up again. */
  forBuild(app: string, contextUrl: string | null, anew: boolean): BuildPolicy {
    const bases = new Map<string, string>()
    const digests = new Set<string>()
    const found: number[] = []
    let refused: Problem | null = null

    const answer = ({ about, platform }: PolicyQuestion): PolicyAnswer => {
      const { identifier = '', attrs = {} } = about?.source ?? {}
      if (identifier === contextUrl) return { decision: { action: policyAction.allow } }
      const name = identifier.startsWith(scheme) ? identifier.slice(scheme.length) : null
      if (name === null || !this.allows(app, name)) {
        refused ??= name === null ? sourceForbidden(identifier) : this.#forbidden(app, name)
        return { decision: { action: policyAction.deny } }
      }
      const [, tagged = name, ownDigest] = /^(.*)@(\w+:\w+)$/.exec(name) ?? []
      if (ownDigest) {
        if (!bases.has(tagged)) {
          bases.set(name, ownDigest)
          digests.add(ownDigest)
        }
        return { decision: { action: policyAction.allow } }
      }
      const known = anew && !bases.has(name) ? null : this.#pinned(app, name)
      const pin = about?.image ? this.#pin(app, name, about.image.digest) : known
      if (!pin)
        return { lookUp: { source: { identifier, attrs }, platform, logName: `[internal] load metadata for ${name}` } }
      bases.set(name, pin.digest)
      digests.add(pin.digest)
      found.push(pin.at)
      return {
        decision: { action: policyAction.convert, update: { identifier: `${identifier}@${pin.digest}`, attrs } },
      }
    }
    return {
      answer,
      refused: () => refused,
      bases: () => Object.fromEntries(bases),
      goodUntil: () => (found.length > 0 ? Math.min(...found) + this.#rules.refreshMs : null),
      asNamed: (text) =>
        text.replaceAll(/@(\w+:[\da-f]+)/g, (whole, digest: string) => (digests.has(digest) ? '' : whole)),
      forget: () => {
        for (const name of bases.keys()) this.#pins.delete(`${app} ${name}`)
      },
    }
  }

  /** `name` in full, as `docker.io/library/node:22`. */
  allows(app: string, name: string): boolean {
    const { allowed, frontends, own } = this.#rules
    if (name.startsWith(`${own}/`)) return isOf(`${own}/${app}`, name)
    return isAmong([...allowed, ...frontends], name)
  }

  /** Throws where an image, as a syntax line names it, may not read Dockerfiles. */
  checkFrontend(image: string): void {
    const { frontends: allowed } = this.#rules
    if (isAmong(allowed, imageName(image) ?? '')) return
    const detail = `The Dockerfile asks to be read by ${image}, which is not allowed here: take the syntax line out, or use ${allowed.join(', ')}.`
    throw new Problem('image-forbidden', detail, { facts: { image, allowed } })
  }

  /** False when a name is known to stand for another digest by now. */
  stillStand(app: string, bases: Record<string, string>): boolean {
    return Object.entries(bases).every(([name, digest]) => (this.#pinned(app, name)?.digest ?? digest) === digest)
  }

  #pinned(app: string, name: string) {
    const pin = this.#pins.get(`${app} ${name}`)
    return pin && pin.at > Date.now() - this.#rules.refreshMs ? pin : null
  }

  #pin(app: string, name: string, digest: string) {
    const pin = { digest, at: Date.now() }
    this.#pins.set(`${app} ${name}`, pin)
    return pin
  }

  #forbidden(app: string, image: string): Problem {
    const allowed = [...this.#rules.allowed, `${this.#rules.own}/${app}`]
    const detail = `The build starts from the image ${image}, which is not allowed here. Allowed are images of ${allowed.join(', ')}.`
    return new Problem('image-forbidden', detail, { facts: { image, allowed } })
  }
}

export type BuildPolicy = {
  answer: (question: PolicyQuestion) => PolicyAnswer
  /** What the build was refused for, if anything. */
  refused: () => Problem | null
  /** What each image's name stood for. */
  bases: () => Record<string, string>
  /** When the first of the names must be looked up again (milliseconds since 1970); null when there is none. */
  goodUntil: () => number | null
  /** A text in which images go by the names that the build gave them. */
  asNamed: (text: string) => string
  /** Has the names looked up again by whoever builds next. */
  forget: () => void
}

const isAmong = (entries: readonly string[], name: string): boolean =>
  entries.some((entry) => name.startsWith(`${entry}/`) || (entry.includes('/') && isOf(entry, name)))

const isOf = (repository: string, name: string): boolean =>
  name.startsWith(repository) && [':', '@', ''].includes(name.charAt(repository.length))

function sourceForbidden(source: string): Problem {
  const detail = `The build reads ${source}, which is neither an image nor in the source. Fetch it in a RUN step instead.`
  return new Problem('image-forbidden', detail, { facts: { source } })
}
