import { setTimeout as delay } from 'node:timers/promises'
import { Problem } from '#api/problem.ts'
import { crashesOf, type Machine } from '../fly/machine.ts'
import { MachineLease } from '../fly/machine-lease.ts'
import { isAway, statusOf } from '../fly/machines-api.ts'
import { crashed, persist, sameImage, there, untilHealthy } from './gate.ts'
import { rollBack } from './roll-back.ts'
import { rolling, wantedOf } from './rolling.ts'
import { isManaged, planRollout, type Slot } from './rollout.ts'
import { Run, type Settings, type Work } from './run.ts'

const appVisibleMs = 60_000
const lookMs = 2000

/** For how long an app that was there is taken to be there still. */
const seenMs = 10_000

/** Each brings every slot of the rollout over; what they share is the gate, and the way back. */
const strategies = { rolling }

/**
 * Brings an image to an app's machines, and back when it does not live. Every effect is remembered before it happens, so
 * that after a crash the same call with the stored rollout looks at the world and goes on.
 */
export class Deployer {
  readonly #settings: Settings
  /** When an app was last seen to be set up. */
  readonly #seen = new Map<string, number>()

  constructor(settings: Settings) {
    this.#settings = settings
  }

  /**
   * Makes the app where there is none: without public addresses, with a Flycast one. Looks at once, unless it has just
   * looked (Fly allows few such questions), and makes nothing before `wanted` resolves.
   */
  async ensureApp(app: string, wanted: Promise<unknown>, signal: AbortSignal): Promise<{ created: boolean }> {
    const { fly, network = null } = this.#settings
    if (performance.now() - (this.#seen.get(app) ?? -Infinity) < seenMs) return { created: false }
    const found = await this.#app(app, signal)
    const created = found === null
    await wanted
    if (created) await this.#createApp(app, signal)
    // An app that has machines has been set up; one without may be left from a start that was cut short.
    if ((found?.machine_count ?? 0) === 0 && (await fly.ipAssignments(app, signal)).length === 0)
      await fly.assignIp(app, { type: 'private_v6', ...(network && { network }) }, signal)
    this.#seen.set(app, performance.now())
    return { created }
  }

  /** It may be gone. */
  forget(app: string): void {
    this.#seen.delete(app)
  }

  /** Every machine on the new image, started and healthy, or every touched one back: `deploy-failed`, `deploy-stuck`. */
  async deploy(work: Work): Promise<void> {
    await this.#guarded(await this.#run(work), (run) => strategies[run.rollout.desired.strategy](run))
  }

  /** Says live only when every machine is on this version and image, passes its checks, and stayed up for the watch. */
  async verify(work: Work): Promise<{ url: string }> {
    await this.#guarded(await this.#run(work), async (run) => {
      await this.#watch(run)
      for (const slot of run.rollout.slots) {
        slot.outcome = 'verified'
        run.tell(slot, { status: 'verified', after: work.image.reference })
      }
      await run.save()
      await this.#tidy(run)
    })
    return { url: this.#url(work) }
  }

  #url({ app, desired, options: { owner } }: Work): string {
    const { urlTemplate, ownerUrlTemplate = urlTemplate } = this.#settings
    const template = owner ? ownerUrlTemplate.replaceAll('{owner}', owner) : urlTemplate
    return template.replaceAll('{app}', app).replaceAll('{port}', `${desired.internalPort ?? 80}`)
  }

  async #run(work: Work): Promise<Run> {
    if (work.rollout) return new Run(this.#settings, work, structuredClone(work.rollout))
    const machines = await this.#settings.fly.machines(work.app, work.signal)
    for (const machine of machines.filter((machine) => !isManaged(machine))) {
      const text = `Machine ${machine.id} is not one of the app's process groups (no fly_platform_version=v2); it is left alone.`
      work.tell({ type: 'warning', text })
    }
    return new Run(this.#settings, work, planRollout(work, machines))
  }

  async #guarded(run: Run, step: (run: Run) => Promise<void>): Promise<void> {
    if (run.rollout.because) return await rollBack(run, run.rollout.because)
    try {
      await step(run)
    } catch (error) {
      await rollBack(run, run.reasonToGoBack(error).body())
    }
  }

  /** All machines once more, then a look every two seconds: one that crashes meanwhile was never live. */
  async #watch(run: Run): Promise<void> {
    const { fly, watchMs, waitMs } = this.#settings
    const { app, signal } = run.work
    const slots = run.rollout.slots.filter(({ launch }) => launch)
    const healthy = async () => {
      for (const slot of slots) await untilHealthy(fly, wantedOf(run, slot), waitMs, signal)
    }
    const look = async (): Promise<[Slot, Machine][]> => {
      // Fly allows one list of an app a second, shared by all its owners' deployments; of each machine five looks.
      const many = run.rollout.slots.length > 3
      const machines = many ? await persist(waitMs, signal, () => fly.machines(app, signal)) : []
      const pairs = run.rollout.slots.map(async (slot): Promise<[Slot, Machine]> => {
        const wanted = wantedOf(run, slot)
        const listed = machines.find(({ id }) => id === slot.machine)
        // The list may be older than the update; the machine itself is not.
        const itself = () => persist(waitMs, signal, () => there(fly, app, wanted.machine, signal))
        const machine = listed?.instance_id === wanted.instanceId ? listed : await itself()
        return [slot, sameImage(wanted, machine)]
      })
      return await Promise.all(pairs)
    }
    await healthy()
    const before = new Map((await look()).map(([{ name }, machine]) => [name, crashesOf(machine).length]))
    const deadline = performance.now() + watchMs
    while (performance.now() < deadline) {
      await delay(Math.min(lookMs, deadline - performance.now()), undefined, { signal })
      for (const [{ name }, machine] of await look()) {
        const crashes = crashesOf(machine).length
        if (crashes > (before.get(name) ?? 0)) throw crashed(machine, crashes)
      }
    }
    await healthy()
  }

  /** After the verdict: what fails here is a warning, the release is live. */
  async #tidy(run: Run): Promise<void> {
    const { fly } = this.#settings
    const { app, id: deployment, signal, tell } = run.work
    for (const slot of run.rollout.slots.filter(({ rest }) => rest)) {
      await fly.stopMachine(app, slot.machine ?? '', undefined, signal).catch((error: unknown) => {
        tell({
          type: 'warning',
          text: `Machine ${slot.machine} was started to try the release and could not be stopped again: ${words(error)}`,
        })
      })
    }
    for (const machine of run.rollout.gone) {
      try {
        await using lease = await MachineLease.acquire(
          { fly, app, machine, description: `tarmac deployment ${deployment}` },
          signal,
        )
        await fly.deleteMachine(app, machine, lease.nonce, signal)
        tell({ type: 'note', text: `Machine ${machine} was removed: its process group is gone from fly.toml.` })
      } catch (error) {
        if (statusOf(error) === 404) continue
        tell({
          type: 'warning',
          text: `Machine ${machine} belongs to no process group any more and could not be removed: ${words(error)}`,
        })
      }
    }
  }

  async #createApp(app: string, signal: AbortSignal): Promise<void> {
    const { fly, org, network = null } = this.#settings
    try {
      await fly.createApp({ name: app, org, network }, signal)
    } catch (error) {
      // The name may be ours after all: an answer that was lost, or two deployments at once.
      if (!isAway(error) && statusOf(error) !== 422 && statusOf(error) !== 409) throw error
      if ((await this.#app(app, signal)) === null) throw error
    }
    const deadline = performance.now() + appVisibleMs
    while ((await this.#app(app, signal)) === null) {
      if (performance.now() > deadline)
        throw new Problem(
          'fly-unavailable',
          `App ${app} was made and is still not to be seen after 60 s. Try again later.`,
        )
      await delay(500, undefined, { signal })
    }
  }

  /** Fly answers 403 for an app of somebody else. */
  async #app(app: string, signal: AbortSignal) {
    try {
      return await this.#settings.fly.app(app, signal)
    } catch (error) {
      if (statusOf(error) !== 403) throw error
      const detail = `The name ${app} belongs to another organisation on Fly, or the builder's token does not reach it. Choose another name.`
      throw new Problem('app-name-taken', detail, { cause: error })
    }
  }
}

const words = (error: unknown): string => (error instanceof Error ? error.message : String(error))
