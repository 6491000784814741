import { timingSafeEqual } from 'node:crypto'
import type { TokenFacts } from '#api/callers/token.ts'
import { Problem } from '#api/problem.ts'
import type { StoredToken } from '../../deployments/callers/token-store.ts'
import type { DeployLink, Principal, Proof } from '../principal.ts'

const longestTimerMs = 2 ** 31 - 1

/** A token in memory, with its current secret and perhaps the one before. */
export class HeldToken {
  #stored: StoredToken
  #secrets: HeldSecret[]
  /** In milliseconds since 1970, because each request compares it. Null: it does not expire. */
  expiresAtMs: number | null
  readonly #now: () => number

  constructor(stored: StoredToken, now: () => number) {
    this.#stored = stored
    this.#now = now
    this.expiresAtMs = msOf(stored.expiresAt)
    this.#secrets = [new HeldSecret(this, stored.hash, now)]
    if (stored.oldHash) this.#secrets.push(new HeldSecret(this, stored.oldHash, now))
  }

  get stored(): Readonly<StoredToken> {
    return this.#stored
  }

  /** The secret with this hash, whether or not it still works. Compares in constant time. */
  secretOf(hash: Uint8Array): HeldSecret | null {
    // Compare with both, also after a match, so that the time reveals nothing.
    const isIt = this.#secrets.map((secret) => timingSafeEqual(secret.hash, hash))
    return this.#secrets.find((_, at) => isIt[at]) ?? null
  }

  /** Takes over what was stored. Ends what no longer holds. */
  change(change: Partial<StoredToken>): void {
    this.#stored = { ...this.#stored, ...change }
    this.expiresAtMs = msOf(this.#stored.expiresAt)
    const { hash, oldHash } = this.#stored
    const before = this.#secrets
    this.#secrets = [hash, ...(oldHash ? [oldHash] : [])].map(
      (each) => this.secretOf(each) ?? new HeldSecret(this, each, this.#now),
    )
    for (const secret of new Set([...before, ...this.#secrets])) secret.look()
  }

  get hasExpired(): boolean {
    return this.expiresAtMs !== null && this.expiresAtMs <= this.#now()
  }

  /** Until when a secret works, beside the life of the token. Null: as long as the token. */
  endOf(secret: HeldSecret): number | null {
    if (secret === this.#secrets[0]) return null
    return this.#secrets.includes(secret) ? (msOf(this.#stored.oldUntil) ?? 0) : 0
  }

  get state(): TokenFacts['state'] {
    if (this.#stored.revokedAt !== null) return 'revoked'
    if (this.hasExpired) return 'expired'
    return this.#stored.deployment === null ? 'active' : 'used'
  }

  /** When it stopped working, in milliseconds since 1970. Null: it works. */
  get endedAtMs(): number | null {
    return msOf(this.#stored.revokedAt) ?? (this.hasExpired ? this.expiresAtMs : null)
  }

  facts(): TokenFacts {
    const {
      seq: _,
      createdByToken: _maker,
      hash: _hash,
      oldHash,
      oldUntil,
      ...facts
    } = this.#stored
    const isOver = oldHash === null || (msOf(oldUntil) ?? 0) <= this.#now()
    return { ...facts, state: this.state, oldSecretUntil: isOver ? null : oldUntil }
  }
}

export const callerNameOf = ({ name, team }: Pick<StoredToken, 'name' | 'team'>) =>
  `token:${team === null ? '' : `${team}/`}${name}`

/** One secret of a token, and the caller that it proves. */
class HeldSecret implements Proof {
  readonly hash: Uint8Array
  readonly #token: HeldToken
  readonly #now: () => number
  readonly #base: Omit<Principal, 'address' | 'expiresAt'>
  #ended: AbortController | null = null
  #timer: NodeJS.Timeout | undefined

  constructor(token: HeldToken, hash: Uint8Array, now: () => number) {
    this.#token = token
    this.hash = hash
    this.#now = now
    const { id, kind, name, scopes, apps, owners, team } = token.stored
    this.#base = {
      kind: 'token',
      name: callerNameOf({ name, team }),
      tokenId: id,
      scopes,
      apps,
      owners,
      teams: team === null ? null : [team],
      proof: this,
      ...(kind === 'deploy-link' && { link: linkOf(token) }),
    }
  }

  caller(address: string): Principal {
    return { ...this.#base, address, expiresAt: this.#token.expiresAtMs }
  }

  /** Throws for a new request. */
  assertUsable(): void {
    const problem = this.#problem(false)
    if (problem) throw problem
  }

  assertHolds(): void {
    const problem = this.#problem(true)
    if (problem) throw problem
  }

  ended(): AbortSignal {
    this.#ended ??= new AbortController()
    this.look()
    return this.#ended.signal
  }

  /** Fires `ended` if the secret no longer holds. Otherwise looks again when it may not. */
  look(): void {
    if (!this.#ended || this.#ended.signal.aborted) return
    clearTimeout(this.#timer)
    if (this.#problem(true)) return this.#ended.abort()

    const isLink = this.#token.stored.kind === 'deploy-link'
    const ends = [isLink ? null : this.#token.expiresAtMs, this.#token.endOf(this)]
    const next = Math.min(...ends.filter((end) => end !== null))
    if (next === Infinity) return
    const waitMs = Math.min(longestTimerMs, Math.max(1, next - this.#now()))
    this.#timer = setTimeout(() => this.look(), waitMs).unref()
  }

  /**
   * Why the secret does not work. What a deploy link began in time goes on after its expiry: its
   * upload, and the log of its one deployment. Any other token ends at once.
   */
  #problem(hasBegun: boolean): Problem | null {
    const { name, kind, revokedAt, rotatedAt, expiresAt } = this.#token.stored
    if (revokedAt !== null)
      return new Problem('token-revoked', `The token ${name} was revoked at ${revokedAt}.`)

    const end = this.#token.endOf(this)
    if (end !== null && end <= this.#now()) {
      const detail = `The token ${name} got a new secret at ${rotatedAt}. Use that one.`
      return new Problem('token-revoked', detail)
    }

    if (!this.#token.hasExpired || (hasBegun && kind === 'deploy-link')) return null
    const detail = `The token ${name} has expired at ${expiresAt}. Use a new one.`
    return new Problem('token-expired', detail)
  }
}

const linkOf = (token: HeldToken): DeployLink => ({
  id: token.stored.id,
  get deployment() {
    return token.stored.deployment
  },
  noteUse: (deployment) => token.change({ deployment }),
})

const msOf = (time: string | null): number | null => (time === null ? null : Date.parse(time))
