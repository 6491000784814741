import { dockerLogin } from '../registry/docker-config.ts'
import type { ImageAt, Registries, RegistryLogin } from './registries.ts'

type Settings = {
  registry: string
  dockerConfig: string
  mirror: { origin: string }
  secrets: { fly: string }
}

/**
 * The login of an app for a repository of a registry: the gateway's own for its registry; else that
 * of the operator's docker config; else one that was given by the API.
 */
export class Logins {
  readonly #settings: Settings
  #stored: Pick<Registries, 'login'> | null = null

  constructor(settings: Settings) {
    this.#settings = settings
  }

  /** The build daemon is opened before the records: until then there are none of them. */
  use(stored: Pick<Registries, 'login'>): void {
    this.#stored = stored
  }

  /**
   * For the build daemon, which names no repository where it asks for the login alone. Null:
   * anonymous.
   */
  readonly loginFor = (
    app: string,
    host: string,
    repository = '',
  ): { user: string; secret: string } | null => {
    const { registry, mirror, secrets, dockerConfig } = this.#settings
    // The mirror has the registry's logins. The daemon may pull from it (TARMAC_MIRRORS).
    if (host === registry || `http://${host}` === mirror.origin)
      return { user: 'x', secret: secrets.fly }
    const given = dockerConfig ? dockerLogin(dockerConfig.replaceAll('{app}', app), host) : null
    if (given) return given
    const stored = this.#stored?.login(app, { host, repository })
    return stored ? { user: stored.username, secret: stored.password } : null
  }

  /**
   * An app's login for an image. An empty user name means that the password is an identity token, as
   * in docker's config. Throws `secrets-unavailable` when a stored password cannot be opened.
   */
  readonly registryLogin = async (app: string, image: ImageAt): Promise<RegistryLogin | null> => {
    const login = this.loginFor(app, image.host, image.repository)
    return login && { username: login.user, password: login.secret }
  }
}
