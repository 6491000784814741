import { z } from 'zod'
import { ignored } from './answers.ts'
import { FlyCalls, statusOf } from './fly-calls.ts'

/** Source: the Machines API's OpenAPI, `main.tokenInfo`. */
const TokenInfo = z.object({
  org_slug: z.string().nullish(),
  apps: z.array(z.string()).nullish(),
})
const Tokens = z.object({ tokens: z.array(TokenInfo).nullish() })
export type TokenInfo = z.infer<typeof TokenInfo>

/** What Fly says of a token, without any effect. Throws the problems that `MachinesApi` lists. */
export class TokenCalls {
  readonly #calls: FlyCalls
  readonly #token: string

  constructor(endpoint: { baseUrl: string; token: string }) {
    this.#calls = new FlyCalls(endpoint)
    this.#token = endpoint.token
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#calls[Symbol.asyncDispose]()
  }

  async current(signal: AbortSignal): Promise<TokenInfo[]> {
    const call = { path: '/tokens/current', action: 'token', id: '', answer: Tokens }
    return (await this.#calls.read(call, signal)).tokens ?? []
  }

  /**
   * Whether the token may make apps in this organisation. Null: Fly's answer does not say. Source:
   * the Machines API's OpenAPI, `Tokens_authorize`; nobody has tried what it answers for a refusal.
   */
  async mayMakeApps(org: string, signal: AbortSignal): Promise<boolean | null> {
    const header = this.#token.startsWith('FlyV1 ') ? this.#token : `FlyV1 ${this.#token}`
    const body = { header, access: { org_slug: org, action: 'c' } }
    const call = { path: '/tokens/authorize', action: 'authorize', id: '', answer: ignored }
    try {
      await this.#calls.call({ ...call, method: 'POST', body }, signal)
      return true
    } catch (error) {
      if ([401, 403].includes(statusOf(error) ?? 0)) return false
      if (statusOf(error) !== null) return null
      throw error
    }
  }
}
