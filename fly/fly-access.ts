import { errorMessage } from '#api/error-code.ts'
import { pause } from '#api/flow/retry.ts'
import { isUnavailable, statusOf } from './fly-calls.ts'
import type { MachinesApi } from './machines-api.ts'

/** Whether the gateway can work with Fly. `isRefused`: Fly said no, so that waiting does not help. */
export type FlyPart = { ok: boolean; isRefused: boolean; detail: string }

/** How long the gateway uses an answer: Fly limits calls. */
const keptMs = 30_000
const askMs = 5000
const notYet: FlyPart = {
  ok: false,
  isRefused: false,
  detail: "Fly's Machines API has not answered yet.",
}

/** Looks at most every 30 s whether Fly takes the token, and whether it reaches the organisation. */
export class FlyAccess {
  readonly #fly: Pick<MachinesApi, 'checkOrg' | 'checkToken'>
  readonly #org: string
  #known: { part: Promise<FlyPart>; until: number } | null = null

  constructor(fly: Pick<MachinesApi, 'checkOrg' | 'checkToken'>, org: string) {
    this.#fly = fly
    this.#org = org
  }

  look(): Promise<FlyPart> {
    const now = performance.now()
    if (this.#known && now < this.#known.until) return this.#known.part
    const part = this.#ask(AbortSignal.timeout(askMs))
    this.#known = { part, until: now + keptMs }
    return part
  }

  /**
   * As `look`, and waits at most `waitMs`: of a Fly that answers late, as after many restarts, nothing
   * is known.
   */
  async lookWithin(waitMs: number): Promise<FlyPart> {
    const waited = new AbortController()
    const late = pause(waitMs, waited.signal).then(
      () => notYet,
      () => notYet,
    )
    return Promise.race([this.look(), late]).finally(() => waited.abort())
  }

  async #ask(signal: AbortSignal): Promise<FlyPart> {
    const org = this.#org
    try {
      await this.#fly.checkOrg(org, signal)
      return { ok: true, isRefused: false, detail: `organisation ${org}` }
    } catch (error) {
      if (![403, 404].includes(statusOf(error) ?? 0)) return failed(error)
    }

    try {
      await this.#fly.checkToken(signal)
    } catch (error) {
      return failed(error)
    }
    // A token for single apps deploys to these.
    const detail = `The token is valid, and it does not reach organisation ${org} (TARMAC_FLY_ORG). The gateway can make no apps there. Correct the name, or give TARMAC_FLY_TOKEN a token of that organisation: fly tokens create org ${org}`
    return { ok: false, isRefused: true, detail }
  }
}

function failed(error: unknown): FlyPart {
  const status = statusOf(error)
  if (status === 401 || status === 403)
    return {
      ok: false,
      isRefused: true,
      detail: `Fly does not take the token in TARMAC_FLY_TOKEN: ${errorMessage(error)}`,
    }
  const detail =
    isUnavailable(error) || status !== null
      ? errorMessage(error)
      : `Fly's Machines API did not answer within ${askMs / 1000} s.`
  return { ok: false, isRefused: false, detail }
}
