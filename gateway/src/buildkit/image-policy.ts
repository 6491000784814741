import { z } from 'zod'
import { Problem } from '#api/problem.ts'
import { imageName } from '../llb/image-name.ts'
import { isUnavailable, type ImageAccess } from '../registry/image-access.ts'
import { Recent } from '../registry/recent.ts'
import type { Pin } from './pin.ts'

export type ImageRules = {
  /**
   * Where images may come from: hosts, or repositories and folders of them (`docker.io`,
   * `ghcr.io/acme`).
   */
  allowed: readonly string[]
  /** Images, written as in `allowed`, that a Dockerfile's syntax line may name as its frontend. */
  frontends: readonly string[]
  /** The registry of the apps' own images. A build may use only those of its own app. */
  own: string
  /** How long a resolved digest is used for a name, in milliseconds. */
  refreshMs: number
  /**
   * The gateway does not run the daemon. If the gateway cannot reach a registry, the daemon's
   * answer for the app's login counts.
   */
  daemonAsks?: boolean
}

/** A label on every image that the gateway builds. */
export const appLabel = 'dev.tarmac.app'

/**
 * Decides which images a build may use, and which digest each name means. Digests are kept per app:
 * an app learns nothing about an image that another app's login opened.
 */
export class ImagePolicy {
  readonly #rules: ImageRules
  readonly #access: ImageAccess
  readonly #pins: Recent<string>
  /**
   * The app that an image was built for, by digest. Null: none. The entries never expire, because a
   * digest never changes its meaning.
   */
  readonly #builtFor = new Recent<string | null>(Number.POSITIVE_INFINITY)

  constructor(rules: ImageRules, access: ImageAccess) {
    this.#rules = rules
    this.#access = access
    this.#pins = new Recent(rules.refreshMs)
  }

  /** `name` is a full name, as in `docker.io/library/node:22`. */
  allows(app: string, name: string): boolean {
    const { allowed, frontends, own } = this.#rules
    if (name.startsWith(`${own}/`)) return isOf(`${own}/${app}`, name)
    return isAmong([...allowed, ...frontends], name)
  }

  /** Throws `image-forbidden` if the image of a syntax line may not be a frontend. */
  checkFrontend(image: string): void {
    const { frontends: allowed } = this.#rules
    if (isAmong(allowed, imageName(image) ?? '')) return
    const detail = `The syntax line of the Dockerfile names ${image}, which is not allowed. Remove the line, or use ${allowed.join(', ')}.`
    throw new Problem('image-forbidden', detail, { facts: { image, allowed } })
  }

  /** False if a name is known to mean another digest now. */
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
   * Returns the digest that the registry lets this app read, or throws. The daemon cannot decide
   * this: it may hold an image that this app could not fetch. Null if only the daemon can reach the
   * registry.
   */
  async demandAccess(app: string, name: string, signal: AbortSignal): Promise<string | null> {
    try {
      const access = await this.#access.of(app, name, signal)
      if (access.granted) return access.digest
      throw access.why === 'another-apps' ? this.forbidden(app, name) : notFound(name)
    } catch (error) {
      const [tagged = '', digest] = name.split('@')
      // A daemon that the gateway does not run may reach registries that the gateway cannot. It
      // resolves a tag with this app's login.
      if (!this.#rules.daemonAsks || !isUnavailable(error)) throw error
      if (digest !== undefined && this.pinned(app, tagged)?.value !== digest) throw error
      return digest ?? null
    }
  }

  /** Remembers the daemon's answer about an image. */
  learn({ digest, config }: { digest: string; config: Uint8Array }): void {
    this.#builtFor.set(digest, appOf(config))
  }

  /**
   * Throws if the image was built for another app. Returns false if the image's
   * configuration is not known yet. An image itself names the app that it was built for. If that
   * claim is false, the app's repository does not have the image.
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
    const detail = `The build starts from the image ${image}, which is not allowed. Allowed are images of ${allowed.join(', ')}. Images of other apps are never allowed.`
    return new Problem('image-forbidden', detail, { facts: { image, allowed } })
  }
}

const isAmong = (entries: readonly string[], name: string): boolean =>
  entries.some(
    (entry) => name.startsWith(`${entry}/`) || (entry.includes('/') && isOf(entry, name)),
  )

const isOf = (repository: string, name: string): boolean =>
  name.startsWith(repository) && [':', '@', ''].includes(name.charAt(repository.length))

const AppLabel = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/)
const BuiltImage = z.object({ config: z.object({ Labels: z.object({ [appLabel]: AppLabel }) }) })

/** The app that an image's configuration names as its own. */
function appOf(config: Uint8Array): string | null {
  try {
    return BuiltImage.parse(JSON.parse(Buffer.from(config).toString())).config.Labels[appLabel]
  } catch {
    return null // the daemon reports anything else that is wrong with it
  }
}

/**
 * One message for a missing image and for an image that this app may not read, so that nobody can
 * tell them apart.
 */
function notFound(image: string): Problem {
  const detail = `The image ${image} does not exist, or this app may not read it. Check its name and digest. For a private image, look at the login for its registry: tarmac registries list`
  return new Problem('image-not-found', detail, { facts: { image } })
}
