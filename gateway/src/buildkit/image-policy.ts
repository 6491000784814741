import { Problem } from '#api/problem.ts'
import { imageName } from '../llb/image-name.ts'
import { isUnavailable, type ImageAccess } from '../registry/image-access.ts'
import { Recent } from '../registry/recent.ts'
import { BuildPolicy } from './build-policy.ts'

/** A digest that a name stands for, found at a time (milliseconds since 1970). */
export type Pin = { value: string; at: number }

export type ImageRules = {
  /** Hosts, or repositories and folders of them (`docker.io`, `ghcr.io/acme`), that images may come from. */
  allowed: readonly string[]
  /** Images, as in `allowed`, that may read a Dockerfile in the daemon's place, where its syntax line asks for it. */
  frontends: readonly string[]
  /** The registry that holds the apps' own images: a build may start from those of its own app alone. */
  own: string
  /** For how long a name goes on standing for the digest that was found for it. */
  refreshMs: number
  /** The daemon is not ours: where the gateway reaches no registry, what the daemon found for the app's login counts. */
  daemonAsks?: boolean
}

/** On every image that the builder makes. */
export const appLabel = 'dev.tarmac.app'

/**
 * Says which images builds may start from, and which digest each of their names stands for. What a name stands for is
 * kept per app: an app learns nothing of an image that another's login opened.
 */
export class ImagePolicy {
  readonly #rules: ImageRules
  readonly #access: ImageAccess
  readonly #pins: Recent<string>
  /** The app that an image was built for, by digest; null: none. A digest never changes its meaning. */
  readonly #builtFor = new Recent<string | null>(Number.POSITIVE_INFINITY)

  constructor(rules: ImageRules, access: ImageAccess) {
    this.#rules = rules
    this.#access = access
    this.#pins = new Recent(rules.refreshMs)
  }

  /** The answers to one build. `anew`: what its images' names stand for is looked up again. */
  forBuild(app: string, contextUrl: string | null, anew: boolean): BuildPolicy {
    return new BuildPolicy(this, { app, contextUrl, anew })
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
  pinsAreCurrent(app: string, bases: Record<string, string>): boolean {
    return Object.entries(bases).every(
      ([name, digest]) => (this.pinned(app, name)?.value ?? digest) === digest,
    )
  }

  pinned(app: string, name: string): Pin | null {
    return this.#pins.get(`${app} ${name}`)
  }

  pin(app: string, name: string, digest: string): Pin {
    return this.#pins.set(`${app} ${name}`, digest)
  }

  forget(app: string, names: Iterable<string>): void {
    for (const name of names) this.#pins.delete(`${app} ${name}`)
  }

  get refreshMs(): number {
    return this.#rules.refreshMs
  }

  /**
   * The digest that the registry grants this app for a name; for the daemon may hold an image that this app could not
   * fetch. Null where nobody but the daemon can ask.
   */
  async demandAccess(app: string, name: string, signal: AbortSignal): Promise<string | null> {
    try {
      const access = await this.#access.of(app, name, signal)
      if (access.granted) return access.digest
      throw access.why === 'another-apps' ? this.forbidden(app, name) : notFound(name)
    } catch (error) {
      const [tagged = '', digest] = name.split('@')
      // A daemon that is not ours may know ways to a registry that we do not: for a tag it asks with this app's login.
      if (!this.#rules.daemonAsks || !isUnavailable(error)) throw error
      if (digest !== undefined && this.pinned(app, tagged)?.value !== digest) throw error
      return digest ?? null
    }
  }

  /** Notes what the daemon said of an image. */
  learn({ digest, config }: { digest: string; config: Uint8Array }): void {
    this.#builtFor.set(digest, appOf(config))
  }

  /**
   * Throws for an image that the builder made for another app; false when its configuration is not known yet. Images
   * say themselves which app they were built for; a false claim is not in that app's repository.
   */
  async refuseAnotherApps(app: string, name: string, signal: AbortSignal): Promise<boolean> {
    const digest = name.slice(name.indexOf('@') + 1)
    const builtFor = this.#builtFor.get(digest)
    if (!builtFor) return false
    if (builtFor.value === null || builtFor.value === app || name.startsWith(`${this.#rules.own}/`))
      return true
    if (await this.#access.ownImage(builtFor.value, digest, signal)) throw this.forbidden(app, name)
    return true
  }

  forbidden(app: string, image: string): Problem {
    const allowed = [...this.#rules.allowed, `${this.#rules.own}/${app}`]
    const detail = `The build starts from the image ${image}, which is not allowed here. Allowed are images of ${allowed.join(', ')}; images of other apps never are.`
    return new Problem('image-forbidden', detail, { facts: { image, allowed } })
  }
}

const isAmong = (entries: readonly string[], name: string): boolean =>
  entries.some(
    (entry) => name.startsWith(`${entry}/`) || (entry.includes('/') && isOf(entry, name)),
  )

const isOf = (repository: string, name: string): boolean =>
  name.startsWith(repository) && [':', '@', ''].includes(name.charAt(repository.length))

/** Which app an image says that it was built for, in its configuration. */
function appOf(config: Uint8Array): string | null {
  try {
    const { config: { Labels = {} } = {} } = JSON.parse(Buffer.from(config).toString()) as {
      config?: { Labels?: Record<string, unknown> }
    }
    const app = Labels[appLabel]
    return typeof app === 'string' && /^[a-z0-9][a-z0-9-]{0,62}$/.test(app) ? app : null
  } catch {
    return null // whatever else is wrong with it, the daemon will say
  }
}

/** The same words for an image that is not there and one that is not this app's: neither is to be told from the other. */
function notFound(image: string): Problem {
  const detail = `The image ${image} is not there, or not for this app: check its name and digest, and the app's login for that registry.`
  return new Problem('image-not-found', detail, { facts: { image } })
}
