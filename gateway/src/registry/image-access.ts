import { Problem } from '#api/problem.ts'
import { Recent } from './recent.ts'
import { Registry, registryAgent } from './registry.ts'

export type AccessSettings = {
  /** An app's login at a registry; null: it has none there. */
  loginFor: (app: string, host: string) => { user: string; secret: string } | null
  /** The registry of the apps' own images, each in a repository of its app's name. */
  own: string
  /** Places that the build daemon tries before a registry, as `host:port/folder`, by the registry's host. */
  mirrors: Readonly<Record<string, readonly string[]>>
  /** For how long an answer holds. */
  keepMs: number
}
/** `another-apps`: only the repository of another app has it. */
export type Access =
  | { granted: true; digest: string }
  | { granted: false; why: 'denied' | 'another-apps' }
/** One manifest, by its tag or its digest, at a registry or at a mirror of it. */
type Place = { host: string; repository: string; reference: string }

const denied: Access = { granted: false, why: 'denied' }

/**
 * Asks registries, with an app's own login, whether the app may read an image. The daemon does not ask for a digest
 * that it holds already: one content store serves all apps, whoever's login filled it.
 */
export class ImageAccess {
  readonly #settings: AccessSettings
  readonly #granted: Recent<true>
  readonly #agent = registryAgent()

  constructor(settings: AccessSettings) {
    this.#settings = settings
    this.#granted = new Recent(settings.keepMs)
  }

  /** `name` in full, with its tag or its digest. Problem: `registry-unavailable`, where no place could say. */
  async of(app: string, name: string, signal: AbortSignal): Promise<Access> {
    const [image] = placesOf(name, {})
    if (!image) return denied
    const keyOf = (digest: string) => `${app} ${image.host}/${image.repository}@${digest}`
    if (this.#granted.get(keyOf(image.reference))) return { granted: true, digest: image.reference }
    const access = await this.#ask(app, placesOf(name, this.#settings.mirrors), signal)
    if (access.granted) this.#granted.set(keyOf(access.digest), true)
    return access
  }

  /** Whether an image is one that was built for `app`. */
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

  async #ask(app: string, places: Place[], signal: AbortSignal): Promise<Access> {
    let [access, unavailable]: [Access, unknown] = [denied, null]
    for (const place of places) {
      try {
        const digest = await this.#find(app, place, signal)
        if (digest === null) continue
        if (!this.#isAnotherApps(app, place)) return { granted: true, digest }
        access = { granted: false, why: 'another-apps' }
      } catch (error) {
        signal.throwIfAborted()
        unavailable ??= error
      }
    }
    if (access === denied && unavailable) throw unavailable
    return access
  }

  /** Names of one word are those of apps, also where a mirror leads to them: `ghcr.io/shop` may be the app shop's. */
  #isAnotherApps(app: string, { host, repository }: Place): boolean {
    return this.#isOwn(host) && repository !== app && !repository.includes('/')
  }

  #isOwn(host: string): boolean {
    const { own, mirrors } = this.#settings
    return [own, ...(mirrors[own] ?? [])].some((place) => plainHost(place) === plainHost(host))
  }

  async #find(
    app: string,
    { host, repository, reference }: Place,
    signal: AbortSignal,
  ): Promise<string | null> {
    const login = this.#settings.loginFor(app, host)
    await using registry = new Registry({
      host: host === 'docker.io' ? 'registry-1.docker.io' : host,
      login: login && { username: login.user, password: login.secret },
      insecure: onLoopback(host),
      agent: this.#agent,
    })
    const digest = await registry.find(repository, reference, signal)
    return reference.includes(':') && digest !== reference ? null : digest
  }
}

/** Where the daemon would look for an image, in its order; nowhere for what is no full name with a tag or a digest. */
function placesOf(name: string, mirrors: AccessSettings['mirrors']): Place[] {
  const [, host = '', repository = '', tag = '', digest] =
    /^([^/@]+)\/([^:@]+)(?::([^:@/]+))?(?:@(\w+:\w+))?$/.exec(name) ?? []
  const reference = digest ?? tag
  if (!reference) return []
  const places = (mirrors[host] ?? []).map((mirror) => {
    const [mirrorHost = '', ...folders] = mirror.replace(/^https?:\/\//, '').split('/')
    return {
      host: mirrorHost,
      repository: [...folders.filter(Boolean), repository].join('/'),
      reference,
    }
  })
  return [...places, { host, repository, reference }]
}

export const onLoopback = (host: string): boolean => /^(127\.|localhost(:|$)|\[::1\])/.test(host)

/** One spelling for each: without the port that goes without saying, the root's dot, and the ways to name this machine. */
function plainHost(place: string): string {
  const [host = ''] = place
    .toLowerCase()
    .replace(/^https?:\/\//, '')
    .split('/')
  const [, name = host, port = ''] = /^(\[[^\]]*\]|[^:]*?)\.?(:\d+)?$/.exec(host) ?? []
  const plainPort = [':443', ':80'].includes(port) ? '' : port
  return `${onLoopback(name) ? 'localhost' : name}${plainPort}`
}

/** Whether an error says that nobody could be asked. */
export const isUnavailable = (error: unknown): boolean =>
  error instanceof Problem && error.code === 'registry-unavailable'
