import { errorCode } from '#api/error-code.ts'
import { apiHost } from '#api/registries/address.ts'
import { isAppsRepository, type ImagePlace, type Mirrors, placesOf } from './image-places.ts'
import { Recent } from './recent.ts'
import { Registry } from './registry.ts'
import { registryAgent } from './transport.ts'
import { speaksPlainHttp } from './plain-http.ts'

export type AccessSettings = {
  /** An app's login for a repository of a registry. Null: the app has none there. */
  loginFor: (
    app: string,
    host: string,
    repository: string,
  ) => { user: string; secret: string } | null
  /** The registry of the apps' own images. Each app has the repository of its name. */
  own: string
  /** Those that the build daemon tries before a registry. */
  mirrors: Mirrors
  /** Further hosts that speak plain HTTP, beside those on loopback. */
  plainHttp?: readonly string[]
  /** How long a granted access is cached, in milliseconds. */
  keepMs: number
}
/** `another-apps`: only another app's repository has the image. */
type Access = { granted: true; digest: string } | { granted: false; why: 'denied' | 'another-apps' }
/** One manifest, by its tag or its digest, at a registry or at one of its mirrors. */
type ImageLocation = ImagePlace & { reference: string }

const denied: Access = { granted: false, why: 'denied' }

/**
 * Asks registries, with an app's own login, whether the app may read an image. The daemon does not
 * ask for a digest that it already holds. Its content store serves all apps, whichever login filled
 * it.
 */
export class ImageAccess {
  readonly #settings: AccessSettings
  readonly #granted: Recent<true>
  readonly #agent = registryAgent()

  constructor(settings: AccessSettings) {
    this.#settings = settings
    this.#granted = new Recent(settings.keepMs)
  }

  /**
   * `name` is a full name with its tag or digest. Throws `registry-unavailable` if no registry or
   * mirror can decide.
   */
  async of(app: string, name: string, signal: AbortSignal): Promise<Access> {
    const [image] = locationsOf(name, {})
    if (!image) return denied
    const keyOf = (digest: string) => `${app} ${image.host}/${image.repository}@${digest}`
    if (this.#granted.get(keyOf(image.reference))) return { granted: true, digest: image.reference }
    const access = await this.#ask(app, locationsOf(name, this.#settings.mirrors), signal)
    if (access.granted) this.#granted.set(keyOf(access.digest), true)
    return access
  }

  /** Whether an image is in the repository of `app`. */
  async ownImage(app: string, digest: string, signal: AbortSignal): Promise<boolean> {
    return (
      (await this.#find(
        app,
        { host: this.#settings.own, repository: app, reference: digest },
        signal,
      )) !== null
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy()
  }

  async #ask(app: string, locations: ImageLocation[], signal: AbortSignal): Promise<Access> {
    let [access, unavailable]: [Access, unknown] = [denied, null]
    for (const address of locations) {
      try {
        const digest = await this.#find(app, address, signal)
        if (digest === null) continue
        if (!this.#isAnotherApps(app, address)) return { granted: true, digest }
        access = { granted: false, why: 'another-apps' }
      } catch (error) {
        signal.throwIfAborted()
        unavailable ??= error
      }
    }
    if (access === denied && unavailable) throw unavailable
    return access
  }

  #isAnotherApps(app: string, place: ImageLocation): boolean {
    return place.repository !== app && isAppsRepository(place, this.#settings)
  }

  async #find(
    app: string,
    { host, repository, reference }: ImageLocation,
    signal: AbortSignal,
  ): Promise<string | null> {
    const login = this.#settings.loginFor(app, host, repository)
    await using registry = new Registry({
      host: apiHost(host),
      login: login && { username: login.user, password: login.secret },
      insecure: speaksPlainHttp(host, this.#settings.plainHttp),
      agent: this.#agent,
    })
    const digest = await registry.find(repository, reference, signal)
    return reference.includes(':') && digest !== reference ? null : digest
  }
}

/**
 * The places where the daemon would look for an image, in its order. Empty if `name` is not a full
 * name with a tag or digest.
 */
function locationsOf(name: string, mirrors: AccessSettings['mirrors']): ImageLocation[] {
  const [, host = '', repository = '', tag = '', digest] =
    /^([^/@]+)\/([^:@]+)(?::([^:@/]+))?(?:@(\w+:\w+))?$/.exec(name) ?? []
  const reference = digest ?? tag
  if (!reference) return []
  return placesOf({ host, repository }, mirrors).map((place) => ({ ...place, reference }))
}

/** Whether an error says that no registry could be reached. */
export const isUnavailable = (error: unknown): boolean =>
  errorCode(error) === 'registry-unavailable'
