import { Problem } from '#api/problem.ts'
import type { App } from '#fly/answers.ts'
import { isUnavailable, retryUntilKnown, statusOf } from '#fly/fly-calls.ts'
import { poll } from '#api/flow/retry.ts'
import type { Settings } from './execution.ts'

const appVisibleMs = 60_000
/** How long the gateway assumes that an app still exists after it has seen it. */
const seenMs = 10_000

/** Creates apps on Fly. */
export class AppSetup {
  readonly #settings: Settings
  /** By app: when the gateway last saw it set up, on the monotonic clock. */
  readonly #seen = new Map<string, number>()

  constructor(settings: Settings) {
    this.#settings = settings
  }

  /**
   * Creates the app if it does not exist, without public addresses but with a Flycast one. It looks
   * at once, unless it did so within `seenMs`, because Fly limits such calls. It creates nothing
   * before `wanted` resolves. Returns the app if it created it, else null. `own`: private networks of
   * an app that it creates, and of its Flycast address, instead of the gateway's. `flycast` false: the
   * app gets no address.
   */
  async ensure(
    app: string,
    wanted: Promise<unknown>,
    signal: AbortSignal,
    own: { app: string | null; flycast: string | null | false } = { app: null, flycast: null },
  ): Promise<App | null> {
    const { fly } = this.#settings
    const gateways = this.#settings.network
    if (performance.now() - (this.#seen.get(app) ?? -Infinity) < seenMs) return null
    const found = await this.#app(app, signal)
    await wanted
    const made = found === null ? await this.#createApp(app, own.app ?? gateways, signal) : null
    // An app with machines is set up. One without may be left over from an interrupted setup.
    const isBare = own.flycast !== false && (found?.machine_count ?? 0) === 0
    const network = own.flycast || gateways
    const address = { type: 'private_v6', ...(network && { network }) }
    const assign = async () => {
      if ((await fly.ipAssignments(app, signal)).length === 0)
        await fly.assignIp(app, address, signal)
    }
    if (isBare) await retryUntilKnown(assign, signal)
    this.#seen.set(app, performance.now())
    return made
  }

  /** Forgets that the app exists, because it may be gone. */
  forget(app: string): void {
    this.#seen.delete(app)
  }

  async #createApp(app: string, network: string | null, signal: AbortSignal): Promise<App> {
    const { fly, org } = this.#settings
    try {
      await retryUntilKnown(() => fly.createApp({ name: app, org, network }, signal), signal)
    } catch (error) {
      // The app may be ours after all: an answer was lost, or two deployments ran at once.
      if (!isUnavailable(error) && statusOf(error) !== 422 && statusOf(error) !== 409) throw error
      if ((await this.#app(app, signal)) === null) throw error
    }

    const visible = { everyMs: 500, forMs: appVisibleMs }
    const made = await poll(() => this.#app(app, signal), visible, signal)
    if (made) return made
    throw new Problem(
      'fly-unavailable',
      `App ${app} was created, but was not visible on Fly within 60 s. Try again later.`,
    )
  }

  /** Fly answers 403 for an app of another organisation. */
  async #app(app: string, signal: AbortSignal) {
    try {
      return await this.#settings.fly.app(app, signal)
    } catch (error) {
      if (statusOf(error) !== 403) throw error
      const detail = `The name ${app} belongs to another organisation on Fly, or the gateway's token has no access to it. Choose another name.`
      throw new Problem('app-name-taken', detail, { cause: error })
    }
  }
}
