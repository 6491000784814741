import type { Execution, Settings } from '../execution.ts'
import { Registration } from './registration.ts'

const defaultWaitMs = 90_000

/** The registrations of the deploys that run, and of those that Fly has not answered yet. */
export class Registrations {
  readonly #settings: Settings
  /** By deployment. */
  readonly #running = new Map<string, Registration>()
  readonly #late = new Set<Registration>()

  constructor(settings: Settings) {
    this.#settings = settings
  }

  /**
   * Begins to register the deploy, or goes on with it. Owners' deploys to a shared app are not
   * registered: a release has one config for all machines of an app, so it would carry the env of one
   * owner to others. Those of previews have no second one.
   */
  begin(execution: Execution): void {
    const { releases, releaseWaitMs: waitMs = defaultWaitMs, warnLater = () => {} } = this.#settings
    const { job, progress } = execution
    const hasGivenUp = progress.rollbackReason !== null && !progress.flyRelease
    const isShared = job.options.owner !== null && job.app === job.recordedApp
    if (!releases || isShared || job.preview || hasGivenUp) return

    const running = this.#running.get(job.id)
    if (running) return running.attach(execution)
    const registration = new Registration({ releases, waitMs, warnLater }, execution)
    this.#running.set(job.id, registration)
  }

  /** Ends the registration of a deploy that is live. */
  async succeed({ job }: Execution): Promise<void> {
    await this.#end(job.id, (registration) => registration.succeed())
  }

  /** Ends the registration of a deploy that has failed. Throws nothing. */
  async fail({ job, isClaimLost }: Execution, error: unknown): Promise<void> {
    await this.#end(job.id, async (registration) => {
      if (isClaimLost) registration.close()
      else await registration.fail(error)
    }).catch(() => {})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.#running.values(), ...this.#late]
    for (const registration of all) registration.close()
    await Promise.all(all.map((registration) => registration.settled()))
  }

  async #end(id: string, end: (registration: Registration) => Promise<void>): Promise<void> {
    const registration = this.#running.get(id)
    if (!registration) return
    this.#running.delete(id)
    await end(registration)
    this.#late.add(registration)
    void registration.settled().then(() => this.#late.delete(registration))
  }
}
