import { addressText, holdsRepository, registryHost } from '#api/registries/address.ts'
import type { Registry } from '#api/registries/registry.ts'
import type { RegistryStore, StoredRegistry } from '../deployments/registries/registry-store.ts'
import type { SealedSecret } from '../deployments/secret-store.ts'
import type { Logger } from '../log.ts'
import type { SealingKeys } from '../secrets/sealing.ts'

export type RegistryLogin = { username: string; password: string }
/** A repository at a registry: `ghcr.io` and `acme/web`. */
export type ImageAt = { host: string; repository: string }

type Deps = {
  store: RegistryStore
  sealing: SealingKeys
  teamOf: (app: string) => string
  log: Pick<Logger, 'warn'>
  now?: () => number
}

/** The last use is written at most so often. */
const usesMs = 60_000

/**
 * The logins at registries. They are in memory, their passwords sealed, because builds ask for them
 * often. Every change is stored before it holds.
 */
export class Registries {
  readonly #deps: Deps
  readonly #now: () => number
  #all: readonly StoredRegistry[]

  private constructor(deps: Deps, all: readonly StoredRegistry[]) {
    this.#deps = deps
    this.#now = deps.now ?? Date.now
    this.#all = all
  }

  static async open(deps: Deps): Promise<Registries> {
    return new Registries(deps, await deps.store.all())
  }

  all(): readonly StoredRegistry[] {
    return this.#all
  }

  /**
   * The login of an app for an image: of those for its team or for all, the one with the longest
   * beginning of the repository; of two, the team's own. Null: there is none. Throws
   * `secrets-unavailable` when its password cannot be opened.
   */
  login(app: string, { host, repository }: ImageAt): RegistryLogin | null {
    const at = registryHost(host)
    const [best] = this.#of(app)
      .filter((each) => each.host === at && holdsRepository(each.prefix, repository))
      .toSorted((a, b) => b.prefix.length - a.prefix.length || rank(a) - rank(b))
    if (!best) return null
    const password = this.open(best)
    this.#noteUse(best)
    return { username: best.username, password }
  }

  /** The passwords that an app's log might quote. One that cannot be opened is none. */
  passwordsOf(app: string): string[] {
    return this.#of(app).flatMap((each) => {
      try {
        return [this.open(each)]
      } catch {
        return []
      }
    })
  }

  /** Throws `secrets-unavailable`. */
  open(registry: StoredRegistry): string {
    const sealed = registry.password ?? { keyId: 'none', sealed: new Uint8Array() }
    return this.#deps.sealing.open(placeOf(registry), sealed).toString()
  }

  /** Seals a password of this login. Throws `secrets-unavailable` without a key. */
  seal(registry: Pick<StoredRegistry, 'id' | 'host' | 'prefix'>, password: string): SealedSecret {
    const place = placeOf(registry)
    return { name: place.name, ...this.#deps.sealing.seal(place, Buffer.from(password)) }
  }

  /** False: there is one for the same address and team. */
  add(registry: StoredRegistry & { password: SealedSecret }): Promise<boolean> {
    return this.#change(() => this.#deps.store.add(registry))
  }

  /** False: it was removed meanwhile. */
  replace(id: string, change: Parameters<RegistryStore['replace']>[1]): Promise<boolean> {
    return this.#change(() => this.#deps.store.replace(id, change))
  }

  noteTest(of: Parameters<RegistryStore['noteTest']>[0]): Promise<void> {
    return this.#change(() => this.#deps.store.noteTest(of))
  }

  /** False: there is none. */
  remove(id: string): Promise<boolean> {
    return this.#change(() => this.#deps.store.remove(id))
  }

  async #change<T>(apply: () => Promise<T>): Promise<T> {
    try {
      return await apply()
    } finally {
      this.#all = await this.#deps.store.all()
    }
  }

  #of(app: string): StoredRegistry[] {
    const team = this.#deps.teamOf(app)
    return this.#all.filter((each) => each.team === null || each.team === team)
  }

  #noteUse({ id, lastUsedAt }: StoredRegistry): void {
    const now = this.#now()
    if (lastUsedAt !== null && now - Date.parse(lastUsedAt) < usesMs) return
    const at = new Date(now).toISOString()
    this.#all = this.#all.map((each) => (each.id === id ? { ...each, lastUsedAt: at } : each))
    this.#deps.store
      .noteUse(id, at)
      .catch((err: unknown) => this.#deps.log.warn({ err }, 'last use of a login not written'))
  }
}

const rank = ({ team }: StoredRegistry): number => (team === null ? 1 : 0)

const placeOf = ({ id, host, prefix }: Pick<StoredRegistry, 'id' | 'host' | 'prefix'>) => ({
  owner: `registry:${id}`,
  name: 'password',
  what: `The password for ${addressText({ host, prefix })}`,
})

/** What the gateway shows of a login: never its password. */
export const factsOf = (stored: StoredRegistry): Registry => ({
  id: stored.id,
  address: addressText(stored),
  username: stored.username,
  team: stored.team,
  createdAt: stored.createdAt,
  createdBy: stored.createdBy,
  rotatedAt: stored.rotatedAt,
  lastTest: stored.lastTest,
  lastUsedAt: stored.lastUsedAt,
})
