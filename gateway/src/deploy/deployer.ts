import { Problem } from '#api/problem.ts'
import { isUnavailable, statusOf } from '../fly/fly-calls.ts'
import type { App } from '../fly/answers.ts'
import { poll } from '../retry.ts'
import { assertKnown } from './assert-known.ts'
import { cleanUp } from './cleanup.ts'
import { graceWarnings } from './config/contradictions.ts'
import type { DesiredApp } from './config/desired-app.ts'
import { refuseLargeRollout } from './config/desired-size.ts'
import { withLastApplied } from './config/restore-config.ts'
import { Execution, type Settings } from './execution.ts'
import { Registrations } from './fly-release/registrations.ts'
import type { DeployJob } from './job.ts'
import { isManaged } from './managed.ts'
import { appliedSteps, planRollout } from './plan.ts'
import { refuseForeignImages } from './preflight/foreign-images.ts'
import { assertRegion, Regions } from './preflight/regions.ts'
import { chooseVolumes, replacementNotes, replacementsOf } from './preflight/replacements.ts'
import { assertDataStays, keptVolumes, neededVolumes } from './preflight/volumes.ts'
import { snapshotOf } from './progress.ts'
import { machineChecks } from './one-off/machine-checks.ts'
import { releaseCommand } from './one-off/release-command.ts'
import { orRollBack, rollBack } from './rollback.ts'
import { strategies } from './strategies/strategies.ts'
import { ignoredOptions } from './strategy-checks.ts'
import { watch } from './watch.ts'
import { warnOfTheLive } from './live-warnings.ts'

const appVisibleMs = 60_000

const rethrow = (error: unknown): never => {
  throw error
}
/** For an app that the gateway does not have yet: it has neither machines nor volumes. */
const noneYet = (error: unknown): never[] => {
  if (![403, 404].includes(statusOf(error) ?? 0)) throw error
  return []
}

/** How long the gateway assumes that an app still exists after it has seen it. */
const seenMs = 10_000

/**
 * Deploys an image to an app's machines, and rolls back if that fails. Every effect is saved before
 * it happens. After a crash, the same call with the stored progress reads the machines and goes on.
 */
export class Deployer {
  readonly #settings: Settings
  readonly #regions: Regions
  readonly #flyReleases: Registrations
  /** By app: when the gateway last saw it set up, on the monotonic clock. */
  readonly #seen = new Map<string, number>()

  constructor(settings: Settings) {
    this.#settings = settings
    this.#regions = new Regions(settings.fly)
    this.#flyReleases = new Registrations(settings)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#flyReleases[Symbol.asyncDispose]()
  }

  /**
   * Creates the app if it does not exist, without public addresses but with a Flycast one. It looks
   * at once, unless it did so within `seenMs`, because Fly limits such calls. It creates nothing
   * before `wanted` resolves. Returns the app if it created it, else null. `ownNetwork`: the private
   * network of an app that it creates, instead of the gateway's.
   */
  async ensureApp(
    app: string,
    wanted: Promise<unknown>,
    signal: AbortSignal,
    ownNetwork: string | null = null,
  ): Promise<App | null> {
    const { fly } = this.#settings
    const network = ownNetwork ?? this.#settings.network
    if (performance.now() - (this.#seen.get(app) ?? -Infinity) < seenMs) return null
    const found = await this.#app(app, signal)
    await wanted
    const made = found === null ? await this.#createApp(app, network, signal) : null
    // An app with machines is set up. One without may be left over from an interrupted setup.
    if ((found?.machine_count ?? 0) === 0 && (await fly.ipAssignments(app, signal)).length === 0)
      await fly.assignIp(app, { type: 'private_v6', ...(network && { network }) }, signal)
    this.#seen.set(app, performance.now())
    return made
  }

  /** Forgets that the app exists, because it may be gone. */
  forget(app: string): void {
    this.#seen.delete(app)
  }

  /**
   * Throws before the build if the config does not fit what Fly has: regions, machines and volumes.
   * Returns warnings about a config that cannot work.
   */
  async preflight(
    job: Pick<DeployJob, 'id' | 'number' | 'app' | 'options' | 'desired' | 'signal'>,
  ): Promise<string[]> {
    const { desired } = job
    const { strategy, groups, region } = desired
    const { registry } = this.#settings
    if (registry) refuseForeignImages(desired, job.app, registry)
    const regions = await this.#regions.codes(job.signal)
    const fits = regions === null || regions.includes(region)
    const looks = strategy === 'canary' || strategy === 'bluegreen'
    if (!fits || looks || groups.some(({ config }) => config.mounts)) {
      const { progress } = await this.#plan(job, noneYet)
      assertRegion(job, progress, regions)
    }
    return graceWarnings(desired, desired.waitMs ?? this.#settings.waitMs)
  }

  /**
   * Gets every machine started and healthy on the new image. On a failure it rolls all touched
   * machines back and throws `deploy-failed`, or `rollback-failed` if the rollback fails too.
   */
  async deploy(job: DeployJob): Promise<void> {
    await this.#guarded(await this.#run(job), async (execution) => {
      await releaseCommand(execution)
      await machineChecks(execution)
      await strategies[execution.progress.desired.strategy](execution)
    })
  }

  /**
   * Succeeds only if every machine is on this version and image, passes its checks and stays up
   * during the watch. Returns the app's URL, and the desired state as a release stores it. The URL
   * is null if no service makes the app reachable.
   */
  async verify(job: DeployJob): Promise<{ url: string | null; desired: DesiredApp }> {
    const execution = await this.#run(job)
    if (!execution.progress.live)
      await this.#guarded(execution, async () => {
        const machines = await watch(execution)
        await warnOfTheLive(execution, machines)
        const steps = appliedSteps(execution.progress)
        for (const step of steps) step.outcome = 'verified'
        execution.progress.live = true
        await execution.save()
        for (const step of steps)
          execution.emit(step, { status: 'verified', after: job.image.reference })
      })

    await Promise.all([cleanUp(execution), this.#flyReleases.succeed(execution)])
    const { desired, appliedConfig = {} } = execution.progress
    return { url: this.#url(job), desired: withLastApplied(desired, appliedConfig) }
  }

  #url({ app, desired, options: { owner } }: DeployJob): string | null {
    if (desired.internalPort === null) return null
    const { urlTemplate, ownerUrlTemplate = urlTemplate } = this.#settings
    const template = owner ? ownerUrlTemplate.replaceAll('{owner}', owner) : urlTemplate
    return template.replaceAll('{app}', app).replaceAll('{port}', `${desired.internalPort}`)
  }

  async #run(job: DeployJob): Promise<Execution> {
    const execution = await this.#executionOf(job)
    this.#flyReleases.begin(execution)
    return execution
  }

  async #executionOf(job: DeployJob): Promise<Execution> {
    if (job.rollout) return new Execution(this.#settings, job, snapshotOf(job.rollout))
    const { progress, machines } = await this.#plan(job)
    for (const machine of machines.filter((machine) => !isManaged(machine))) {
      const text = `Machine ${machine.id} is not one of the app's process groups (no fly_platform_version=v2); the deploy does not change it.`
      job.emit({ type: 'warning', text })
    }

    for (const machine of machines) await assertKnown(job, machine)
    const warnings = [...ignoredOptions(job, progress.steps), ...keptVolumes(job, progress.steps)]
    for (const text of warnings) job.emit({ type: 'warning', text })
    for (const text of replacementNotes(progress)) job.emit({ type: 'note', text })
    return new Execution(this.#settings, job, progress)
  }

  /** `without` handles the error of an app that does not exist. */
  async #plan(
    job: Pick<DeployJob, 'id' | 'number' | 'app' | 'options' | 'desired' | 'signal'>,
    without: (error: unknown) => never[] = rethrow,
  ) {
    const { app, signal } = job
    const { fly } = this.#settings
    const machines = await fly.machines(app, signal).catch(without)
    const progress = planRollout(job, machines)
    refuseLargeRollout(progress)

    const needs = neededVolumes(progress)
    const replacements = replacementsOf(progress)
    if (needs.length + replacements.length > 0) {
      const volumes = await fly.volumes(app, signal).catch(without)
      const others = chooseVolumes(job, replacements, volumes)
      assertDataStays(job, needs, { machines, volumes: others })
    }
    return { progress, machines }
  }

  async #guarded(
    execution: Execution,
    step: (execution: Execution) => Promise<void>,
  ): Promise<void> {
    const { rollbackReason } = execution.progress
    try {
      await (rollbackReason ? rollBack(execution, rollbackReason) : orRollBack(execution, step))
    } catch (error) {
      await this.#flyReleases.fail(execution, error)
      throw error
    }
  }

  async #createApp(app: string, network: string | null, signal: AbortSignal): Promise<App> {
    const { fly, org } = this.#settings
    try {
      await fly.createApp({ name: app, org, network }, signal)
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
