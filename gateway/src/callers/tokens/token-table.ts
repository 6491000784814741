import { tokenLimits } from '#api/callers/token.ts'
import { Problem } from '#api/problem.ts'
import type { NewStoredToken, TokenStore } from '../../deployments/callers/token-store.ts'
import type { Logger } from '../../log.ts'
import { TimeSlice } from '../../time-slice.ts'
import type { Authenticator } from '../authenticate.ts'
import { HeldToken } from './held-token.ts'
import { readToken } from './token-text.ts'

type TableDeps = { store: TokenStore; log: Logger; now?: () => number }

const dayMs = 86_400_000
/** How long a token is kept after it ended, so that its holder gets to know why. */
const keptMs = { token: 30 * dayMs, 'deploy-link': dayMs }
/** The last use is written at most so often. A crash loses what came after. */
const usesMs = 60_000
const usesAtOnce = 500
const sliceMs = 10
const sweepMs = 60_000

/**
 * All tokens, in memory: a request needs one look-up by the id in its token. Changes are written
 * first.
 */
export class TokenTable {
  readonly #store: TokenStore
  readonly #log: Logger
  readonly now: () => number
  /** By id, oldest first. */
  readonly #tokens = new Map<string, HeldToken>()
  readonly #used = new Map<string, number>()
  #usesTimer: NodeJS.Timeout | undefined
  #sweptAt = 0

  static async open({ store, log, now = Date.now }: TableDeps): Promise<TokenTable> {
    const table = new TokenTable(store, log, now)
    for (const stored of await store.all()) table.#tokens.set(stored.id, new HeldToken(stored, now))
    return table
  }

  private constructor(store: TokenStore, log: Logger, now: () => number) {
    this.#store = store
    this.#log = log
    this.now = now
  }

  /**
   * Finds the holder of a token. Throws `token-damaged`, and for the right secret of a token that
   * works no longer `token-expired` or `token-revoked`.
   */
  readonly authenticate: Authenticator = ({ bearer, address }) => {
    const read = bearer === null ? null : readToken(bearer)
    if (read === null) return null
    if (read === 'damaged') throw damaged()
    const token = this.#tokens.get(read.id)
    const secret = token?.secretOf(read.hash)
    if (!secret) return null
    secret.assertUsable()
    this.#noteUse(read.id)
    return secret.caller(address)
  }

  /** Oldest first. */
  all(): HeldToken[] {
    return [...this.#tokens.values()]
  }

  find(id: string): HeldToken | null {
    return this.#tokens.get(id) ?? null
  }

  /** When a token was used last, also if that is not written yet. Null: never. */
  lastUsedAt({ stored: { id, lastUsedAt } }: HeldToken): string | null {
    const at = this.#used.get(id)
    return at === undefined ? lastUsedAt : new Date(at).toISOString()
  }

  /** Throws `token-limit`. */
  async add(fresh: NewStoredToken): Promise<HeldToken> {
    if (this.#sweptAt + sweepMs <= this.now()) await this.#removeOld()
    if (this.#tokens.size >= tokenLimits.count)
      throw new Problem(
        'token-limit',
        `The gateway keeps at most ${tokenLimits.count} tokens. It forgets a token 30 days after its end, and a deploy link after one day.`,
        { facts: { limit: tokenLimits.count } },
      )
    const token = new HeldToken(await this.#store.add(fresh), this.now)
    this.#tokens.set(fresh.id, token)
    return token
  }

  async revoke(tokens: readonly HeldToken[]): Promise<void> {
    const revokedAt = this.timeAt(this.now())
    const open = tokens.filter(({ stored }) => stored.revokedAt === null)
    await this.#store.revoke(
      open.map(({ stored }) => stored.id),
      revokedAt,
    )
    for (const token of open) token.change({ revokedAt })
  }

  async rotate(token: HeldToken, change: Parameters<TokenStore['rotate']>[1]): Promise<void> {
    await this.#store.rotate(token.stored.id, change)
    token.change(change)
  }

  timeAt(ms: number): string {
    return new Date(ms).toISOString()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#usesTimer)
    await this.#writeUses()
  }

  #noteUse(id: string): void {
    this.#used.set(id, this.now())
    this.#usesTimer ??= setTimeout(() => void this.#writeUses(), usesMs).unref()
  }

  async #writeUses(): Promise<void> {
    this.#usesTimer = undefined
    const uses = [...this.#used].map(([id, at]) => ({ id, at: this.timeAt(at) }))
    this.#used.clear()
    // Requests wait meanwhile, so thousands are written in parts.
    const slice = new TimeSlice(sliceMs)
    for (let from = 0; from < uses.length; from += usesAtOnce) {
      const part = uses.slice(from, from + usesAtOnce)
      for (const { id, at } of part) this.#tokens.get(id)?.change({ lastUsedAt: at })
      await this.#store
        .noteUses(part)
        .catch((err: unknown) => this.#log.warn({ err }, 'last use of tokens not written'))
      await slice.yield()
    }
  }

  /** Forgets tokens that ended long ago. */
  async #removeOld(): Promise<void> {
    this.#sweptAt = this.now()
    const isOld = (token: HeldToken) =>
      token.endedAtMs !== null && token.endedAtMs + keptMs[token.stored.kind] <= this.now()
    const old = this.all().flatMap((token) => (isOld(token) ? [token.stored.id] : []))
    await this.#store.remove(old)
    for (const id of old) this.#tokens.delete(id)
  }
}

const damaged = () =>
  new Problem(
    'token-damaged',
    'The token is incomplete or mistyped: its checksum is wrong. It is tmc_ and 61 letters and digits; copy all of it.',
  )
