import type { CompactJWSHeaderParameters, createLocalJWKSet, JSONWebKeySet } from 'jose'
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import type { Logger } from '../../log.ts'
import { readIssuer } from './read-issuer.ts'

/** After this age keys are read again, while the known ones go on. */
const refreshMs = 15 * 60_000
/** So long known keys hold while their issuer does not answer. Then a withdrawn key would be too old. */
const staleMs = 24 * 3_600_000
/** An issuer is asked at most so often, whatever tokens name. */
const cooldownMs = 30_000

type Keys = { find: ReturnType<typeof createLocalJWKSet>; ids: Set<unknown>; readAt: number }
type Issuer = {
  keys: Keys | null
  triedAt: number
  failure: string | null
  reading: Promise<void> | null
}

type Deps = {
  log: Pick<Logger, 'warn'>
  read?: (issuer: string) => Promise<JSONWebKeySet>
  now?: () => number
}

/** The public keys of the issuers that rules name. */
export class IssuerKeys {
  readonly #log: Deps['log']
  readonly #read
  readonly #now
  readonly #issuers = new Map<string, Issuer>()

  constructor({ log, read = readIssuer, now = Date.now }: Deps) {
    this.#log = log
    this.#read = read
    this.#now = now
  }

  /**
   * The key that a token's header names. Null: the issuer has none of that name. Throws
   * `oidc-issuer-unavailable` if that cannot be said because the issuer does not answer.
   */
  async find(issuer: string, header: CompactJWSHeaderParameters) {
    const known = this.#issuers.get(issuer)
    const entry = known ?? { keys: null, triedAt: -Infinity, failure: null, reading: null }
    if (!known) this.#issuers.set(issuer, entry)

    const isFresh = this.#ageOf(entry) < refreshMs
    if (this.#has(entry, header)) {
      // The caller does not wait for the issuer.
      if (!isFresh) void this.#refresh(issuer, entry)
      return keyOf(entry.keys, header)
    }
    await this.#refresh(issuer, entry)
    if (this.#has(entry, header)) return keyOf(entry.keys, header)
    if (entry.failure !== null) throw unavailable(issuer)
    return null
  }

  #ageOf({ keys }: Issuer): number {
    return keys ? this.#now() - keys.readAt : Infinity
  }

  #has(entry: Issuer, { kid }: CompactJWSHeaderParameters): boolean {
    return this.#ageOf(entry) < staleMs && entry.keys !== null && entry.keys.ids.has(kid)
  }

  /** Asks once for all who wait, and not again during the cooldown. */
  #refresh(issuer: string, entry: Issuer): Promise<void> {
    if (entry.reading) return entry.reading
    if (this.#now() - entry.triedAt < cooldownMs) return Promise.resolve()
    entry.triedAt = this.#now()
    entry.reading = this.#readInto(issuer, entry).finally(() => (entry.reading = null))
    return entry.reading
  }

  async #readInto(issuer: string, entry: Issuer): Promise<void> {
    try {
      const [{ createLocalJWKSet }, set] = await Promise.all([import('jose'), this.#read(issuer)])
      const ids = new Set<unknown>(set.keys.map(({ kid }) => kid))
      entry.keys = { find: createLocalJWKSet(set), ids, readAt: this.#now() }
      entry.failure = null
    } catch (error) {
      entry.failure = reasonOf(error)
      this.#log.warn({ issuer, reason: entry.failure }, 'keys of an OIDC issuer could not be read')
    }
  }
}

/** Null also for a key that cannot be used, whatever is wrong with it: its signature proves nothing. */
async function keyOf(keys: Keys | null, header: CompactJWSHeaderParameters) {
  try {
    return (await keys?.find(header)) ?? null
  } catch {
    return null
  }
}

const reasonOf = (error: unknown): string =>
  errorMessage(error instanceof Error && error.cause instanceof Error ? error.cause : error)

/** Its reason is in the log alone: it says what the gateway can reach. */
const unavailable = (issuer: string) =>
  new Problem(
    'oidc-issuer-unavailable',
    `The gateway cannot check this token: ${issuer} does not give its keys. Send the request again in ${cooldownMs / 1000} s. If it lasts, the gateway’s log says why.`,
    { facts: { retryAfterSeconds: cooldownMs / 1000 } },
  )
