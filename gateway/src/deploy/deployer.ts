import type { Strategy } from '#api/options/strategy.ts'
import type { SecretVersion } from '#api/release.ts'
import { retryUntilKnown, statusOf } from '#fly/fly-calls.ts'
import type { App } from '#fly/answers.ts'
import { configOf } from '#fly/machine.ts'
import { AppSetup } from './app-setup.ts'
import { assertKnown } from './assert-known.ts'
import { cleanUp } from './cleanup.ts'
import { graceWarnings } from './config/contradictions.ts'
import type { DesiredApp } from './config/desired-app.ts'
import { refuseLargeRollout } from './config/desired-size.ts'
import { withLastApplied } from './config/restore-config.ts'
import { Execution, type Settings } from './execution.ts'
import { Registrations } from './fly-release/registrations.ts'
import type { DeployJob } from './job.ts'
import { isManaged, ownerOf } from './managed.ts'
import { appliedSteps, planRollout } from './plan.ts'
import { type EgressJob, limitEgress } from './preflight/limit-egress.ts'
import { refuseForeignImages } from './preflight/foreign-images.ts'
import { assertRegion, Regions } from './preflight/regions.ts'
import { chooseVolumes, replacementNotes, replacementsOf } from './preflight/replacements.ts'
import { assertDataStays, keptVolumes, neededVolumes } from './preflight/volumes.ts'
import { snapshotOf } from './progress.ts'
import { noteSeen } from './machines/seen.ts'
import { machineChecks } from './one-off/machine-checks.ts'
import { machinesOfOwners, routeRequests } from './routing/route.ts'
import { releaseCommand } from './one-off/release-command.ts'
import { orRollBack, rollBack } from './rollback.ts'
import { bluegreen } from './strategies/bluegreen.ts'
import { canary } from './strategies/canary.ts'
import { immediate } from './strategies/immediate.ts'
import { rolling } from './strategies/rolling.ts'
import { ignoredOptions } from './strategy-checks.ts'
import { watch } from './watch.ts'
import { warnOfTheLive } from './live-warnings.ts'

const rethrow = (error: unknown): never => {
  throw error
}
/** For an app that the gateway does not have yet: it has neither machines nor volumes. */
const noneYet = (error: unknown): never[] => {
  if (![403, 404].includes(statusOf(error) ?? 0)) throw error
  return []
}

/**
 * `secrets`: the app's secrets before the first machine changed, which all machines have. Null: not
 * known.
 */
type Verified = { url: string | null; desired: DesiredApp; secrets: SecretVersion[] | null }

type PlannedJob = Pick<DeployJob, 'id' | 'number' | 'app' | 'options' | 'desired' | 'signal'>

/** Each strategy applies all machines. They share the health checks and the rollback. */
const strategies: Record<Strategy, (execution: Execution) => Promise<void>> = {
  rolling,
  canary,
  bluegreen,
  immediate,
}

/**
 * Deploys an image to an app's machines, and rolls back if that fails. Every effect is saved before
 * it happens. After a crash, the same call with the stored progress reads the machines and goes on.
 */
export class Deployer {
  readonly #settings: Settings
  readonly #regions: Regions
  readonly #flyReleases: Registrations
  readonly #setup: AppSetup

  constructor(settings: Settings) {
    this.#settings = settings
    this.#regions = new Regions(settings.fly)
    this.#flyReleases = new Registrations(settings)
    this.#setup = new AppSetup(settings)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#flyReleases[Symbol.asyncDispose]()
  }

  /** See `AppSetup.ensure`. */
  ensureApp(...about: Parameters<AppSetup['ensure']>): Promise<App | null> {
    return this.#setup.ensure(...about)
  }

  /**
   * Whose machines an app has: one entry for each that Fly's own tools count as the app's. None, if the
   * app is not in reach. `isMounted`: it has a volume.
   */
  async machineOwners(
    app: string,
    signal: AbortSignal,
  ): Promise<{ owner: string | null; isMounted: boolean }[]> {
    const machines = await this.#settings.fly.machines(app, signal).catch(noneYet)
    return machines.filter(isManaged).map((machine) => ({
      owner: ownerOf(machine),
      isMounted: (configOf(machine).mounts ?? []).length > 0,
    }))
  }

  /** See `limitEgress`. */
  limitEgress(job: EgressJob): Promise<void> {
    return limitEgress(job, this.#settings.fly)
  }

  /** The machines of each owner that take requests. None, if the app is not in reach. */
  async machinesOfOwners(app: string, signal: AbortSignal): Promise<Map<string, string[]>> {
    return machinesOfOwners(await this.#settings.fly.machines(app, signal).catch(noneYet))
  }

  /** Forgets that the app exists, because it may be gone. */
  forget(app: string): void {
    this.#setup.forget(app)
  }

  /**
   * Throws before the build if the config does not fit what Fly has: regions, machines and volumes.
   * Returns warnings about a config that cannot work.
   */
  async preflight(job: PlannedJob & Pick<DeployJob, 'recordedApp'>): Promise<string[]> {
    const { desired } = job
    const { strategy, groups, region } = desired
    const { registry } = this.#settings
    if (registry) refuseForeignImages(desired, job.recordedApp, registry)
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
  async verify(job: DeployJob): Promise<Verified> {
    const execution = await this.#run(job)
    if (!execution.progress.live)
      await this.#guarded(execution, async () => {
        const machines = await watch(execution)
        await warnOfTheLive(execution, machines)
        await routeRequests(execution)
        const steps = appliedSteps(execution.progress)
        for (const step of steps) {
          step.outcome = 'verified'
          const machine = machines.get(step.machine ?? '')
          if (machine) noteSeen(step, machine, (text) => job.redact(text))
        }
        execution.progress.live = true
        await execution.save()
        for (const step of steps)
          execution.emit(step, { status: 'verified', after: job.image.reference })
      })

    await Promise.all([cleanUp(execution), this.#flyReleases.succeed(execution)])
    const { desired, appliedConfig = {}, secrets = null } = execution.progress
    return { url: this.#url(job), desired: withLastApplied(desired, appliedConfig), secrets }
  }

  #url({ app, recordedApp, desired, options: { owner } }: DeployJob): string | null {
    if (desired.internalPort === null) return null
    const { urlTemplate, ownerUrlTemplate = urlTemplate } = this.#settings
    const isShared = owner !== null && app === recordedApp
    const template = isShared ? ownerUrlTemplate.replaceAll('{owner}', owner) : urlTemplate
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
    const secrets = job.secrets?.digests
    return new Execution(this.#settings, job, { ...progress, ...(secrets && { secrets }) })
  }

  /** `without` handles the error of an app that does not exist. */
  async #plan(job: PlannedJob, without: (error: unknown) => never[] = rethrow) {
    const { app, signal } = job
    const { fly } = this.#settings
    const list = () => fly.machines(app, signal).catch(without)
    const machines = await retryUntilKnown(list, signal)
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
}
