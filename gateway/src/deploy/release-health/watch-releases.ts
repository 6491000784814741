import type { NewestRelease, ReleaseStore } from '../../deployments/release-store.ts'
import type { OrgMachine } from '#fly/answers.ts'
import { noneIfGone } from '#fly/apps/none-if-gone.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { Logger } from '../../log.ts'
import { TimeSlice } from '../../time-slice.ts'
import { forEachLimit } from '#api/flow/for-each-limit.ts'
import { noteCrashes } from './note-crashes.ts'

/** Fly may show a change late: each look asks for the changes of this time again. */
const overlapMs = 60_000
/** Every so many looks the gateway looks at all machines: a change may have been shown too late. */
const wholeEvery = 20
const parallel = 4
const sliceMs = 10

type WatchDeps = {
  fly: Pick<MachinesApi, 'orgMachines' | 'machines'>
  org: string
  releases: Pick<ReleaseStore, 'flyApps' | 'newestOn' | 'find' | 'noteCrashes'>
  log: Pick<Logger, 'warn'>
}

/**
 * Watches the newest release of each target for crashes. One call lists the changed machines of all
 * apps; only apps with changes are asked for more. The first look is at all of them.
 */
export class ReleaseWatch {
  readonly #deps: WatchDeps
  readonly #stopping = new AbortController()
  /** When each machine last changed, as far as it was looked at. */
  #seen = new Map<string, string>()
  /** Apps that need another look although nothing changes: their release is degraded. */
  readonly #degraded = new Set<string>()
  /** Apps with releases and machines that the organisation's list does not have. */
  #unlisted: string[] = []
  #since: Date | null = null
  #looks = 0

  constructor(deps: WatchDeps) {
    this.#deps = deps
  }

  /**
   * Looks now, and then every `everyMs`. A look that fails is logged. The timer keeps no process
   * awake. Disposing waits for the look that runs.
   */
  static start(deps: WatchDeps, everyMs: number): AsyncDisposable {
    const watch = new ReleaseWatch(deps)
    let timer: NodeJS.Timeout | undefined
    const run = async () => {
      await watch
        .look()
        .catch((err: unknown) => watch.#isStopping || deps.log.warn({ err }, 'release look failed'))
      if (watch.#isStopping) return
      timer = setTimeout(() => void (running = run()), everyMs).unref()
    }
    let running = run()
    return {
      async [Symbol.asyncDispose]() {
        watch.#stopping.abort()
        clearTimeout(timer)
        await running
      },
    }
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted
  }

  async look(): Promise<void> {
    const { fly, org, releases } = this.#deps
    const isWhole = this.#since === null || this.#looks % wholeEvery === 0
    const at = new Date(Date.now() - overlapMs)
    const machines = await fly.orgMachines(org, isWhole ? null : this.#since, this.#stopping.signal)

    const byApp = Map.groupBy(machines, ({ app_name: app }) => app)
    const due = new Set([...this.#degraded, ...this.#unlisted])
    const unlisted = new Set(this.#unlisted)
    const slice = new TimeSlice(sliceMs)
    for (const app of isWhole ? await releases.flyApps() : byApp.keys()) {
      await slice.yield()
      const listed = byApp.get(app)
      if (!listed) unlisted.add(app)
      if (!listed || this.#hasNews(listed, await releases.newestOn(app))) due.add(app)
    }

    this.#unlisted = []
    await forEachLimit([...due], parallel, async (app) => {
      const isThere = await this.#lookAt(app, unlisted.has(app))
      if (isThere && unlisted.has(app) && !byApp.has(app)) this.#unlisted.push(app)
    })
    if (isWhole) this.#seen = new Map()
    for (const { id, updated_at: changed } of machines) this.#seen.set(id, changed ?? '')
    this.#since = at
    this.#looks++
  }

  /** Whether a machine of the app has changed since a look, or else since the app's last release. */
  #hasNews(listed: OrgMachine[], newest: NewestRelease[]): boolean {
    if (newest.length === 0) return false
    const released = Math.min(...newest.map(({ createdAt }) => Date.parse(createdAt)))
    return (
      newest.some(({ crashes }) => crashes.some(({ endedAt }) => endedAt === null)) ||
      listed.some(({ id, state, updated_at: changed }) => {
        const seen = this.#seen.get(id)
        if (seen !== undefined) return seen !== changed
        return state !== 'started' || !changed || Date.parse(changed) >= released
      })
    )
  }

  /** Returns whether the app has machines. */
  async #lookAt(app: string, isUnlisted: boolean): Promise<boolean> {
    const { fly, log } = this.#deps
    try {
      const machines = await fly.machines(app, this.#stopping.signal).catch(noneIfGone)
      if (await noteCrashes(app, machines, this.#deps)) this.#degraded.add(app)
      else this.#degraded.delete(app)
      return machines.length > 0
    } catch (err) {
      if (this.#isStopping) throw err
      // It may be another organisation's by now: the next whole look tries again.
      if (isUnlisted) return false
      this.#degraded.add(app)
      log.warn({ err, app }, 'the machines of a release could not be looked at')
      return true
    }
  }
}
