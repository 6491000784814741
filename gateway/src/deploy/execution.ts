import { Problem, asProblem } from '#api/problem.ts'
import type { ImageFacts, MachineFacts } from '#api/deployment.ts'
import type { NewEvent } from '#api/event.ts'
import type { DeploymentOptions } from '#api/options.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import { MachineLease } from '../fly/machine-lease.ts'
import type { MachinesApi } from '../fly/machines-api.ts'
import { forEachLimit } from './for-each-limit.ts'
import { copyPlain } from './copy-plain.ts'
import type { DesiredApp } from './config/desired.ts'
import { retryTransient } from './machines/health.ts'
import { machineFacts, type Effect, type DeployProgress, type MachineStep } from './plan.ts'

/** What a deployment asks of the deploy engine. */
export type DeployJob = {
  id: string
  number: number
  app: string
  options: DeploymentOptions
  image: ImageFacts
  desired: DesiredApp
  /** False when a machine carries a deployment, by id and number, that the record should know and does not. */
  known(deployment: string, number: number): Promise<boolean>
  /** As last remembered; null when nothing was touched yet. */
  rollout: DeployProgress | null
  /** Writes down what is about to happen. When it fails the deployment is not ours any more: everything stops. */
  checkpoint(patch: { rollout: DeployProgress; machines: MachineFacts[] }): Promise<void>
  emit: EventSink
  /**
   * Aborted with a Problem as reason: `stopping` leaves everything as it stands, to be taken up again; any other ends
   * the rollout, and machines that were touched are put back.
   */
  signal: AbortSignal
}

export type Settings = {
  fly: MachinesApi
  org: string
  /** Where the app answers: `{app}` stands for its name. */
  urlTemplate: string
  /** Where the machine of one owner answers: `{owner}`, `{app}`, `{port}` where it listens. */
  ownerUrlTemplate?: string
  /** How long a release is watched for crashes before it is called live. */
  watchMs: number
  /** How long a machine may take to start, and then to pass its checks. */
  waitMs: number
  /** How long Fly's proxy is given to learn which machines may be reached, before the next of a bluegreen cutover. */
  proxyMs: number
  /** The private network of new apps; null for the organisation's default. */
  network: string | null
  /** Machine id of the builder, by which Fly finds what was just pushed in the mirror of its host; null elsewhere. */
  builder: string | null
}

/** Machines at work at once, whatever their number. */
export const mostAtOnce = 8

/** One rollout under way: the work, what is known of it so far, and the ways to write down more. */
export class Execution {
  readonly settings: Settings
  readonly work: DeployJob
  readonly rollout: DeployProgress
  /** Ends waiting on the way forward: the work's own, or the failure of another machine. */
  readonly signal: AbortSignal
  /** Ends what has an effect, and the way back: only when the gateway stops, so that no effect is left half known. */
  readonly stopping: AbortSignal
  readonly #failed = new AbortController()
  #saving: Promise<void> = Promise.resolve()
  #saveNext: Promise<void> | null = null
  #turn: Promise<unknown> = Promise.resolve()
  #claimLost = false

  constructor(settings: Settings, work: DeployJob, rollout: DeployProgress) {
    this.settings = settings
    this.work = work
    this.rollout = rollout
    this.signal = AbortSignal.any([work.signal, this.#failed.signal])
    this.stopping = stopSignalOf(work.signal)
  }

  get waitMs(): number {
    return this.rollout.desired.waitMs ?? this.settings.waitMs
  }

  get touched(): boolean {
    return this.rollout.slots.some(({ outcome }) => outcome !== null)
  }

  /** `work` on several machines, `most` at a time. The first that fails ends the waiting for the others. */
  forEachLimit(
    slots: MachineStep[],
    most: number,
    work: (slot: MachineStep) => Promise<void>,
  ): Promise<void> {
    return forEachLimit(slots, most, work, this.#failed)
  }

  /** Looks, or does what may be done twice, although Fly may be away for a while. */
  retryWhileUnavailable<T>(look: () => Promise<T>): Promise<T> {
    return retryTransient(this.waitMs, this.signal, look)
  }

  /** One after the other, whoever asks. */
  serialize<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => {})
    return turn
  }

  async lease(slot: MachineStep, signal: AbortSignal = this.signal): Promise<MachineLease> {
    const { app, id } = this.work
    const description = `tarmac deployment ${id}${this.rollout.because ? ', putting back' : ''}`
    const machine = slot.machine ?? ''
    const held = (by: string) =>
      this.work.emit({
        type: 'note',
        text: `Machine ${machine} is held by ${by}; it is waited for.`,
      })
    const holder = { fly: this.settings.fly, app, machine, description, nonce: slot.lease, held }
    const lease = await MachineLease.acquire(holder, signal)
    slot.lease = lease.nonce
    return lease
  }

  /** Writes down what is about to happen to a machine. */
  async recordIntent(slot: MachineStep, effect: Effect): Promise<void> {
    slot.intent = effect
    if (slot.outcome === null || slot.outcome === 'stuck') slot.outcome = 'touched'
    await this.save()
  }

  /** Saves come one after the other; who asks while one waits is served by that one. */
  save(): Promise<void> {
    this.#saveNext ??= this.#saving.then(() => {
      this.#saveNext = null
      return (this.#saving = this.#write())
    })
    return this.#saveNext
  }

  async #write(): Promise<void> {
    try {
      const rollout = copyPlain(this.rollout)
      await this.work.checkpoint({ rollout, machines: machineFacts(rollout) })
    } catch (error) {
      this.#claimLost = true
      this.#failed.abort(error)
      throw error
    }
  }

  emit(
    slot: MachineStep,
    event: Omit<Extract<NewEvent, { type: 'machine' }>, 'type' | 'machine' | 'region'>,
  ): void {
    this.work.emit({
      type: 'machine',
      machine: slot.machine ?? slot.name,
      region: slot.region,
      ...event,
    })
  }

  /** Why a step failed, where the machines are to be put back for it; thrown on where they are to be left alone. */
  rollbackReason(error: unknown): Problem {
    const { signal } = this.work
    const reason: unknown = signal.aborted ? signal.reason : unwrapped(error)
    if (this.#claimLost || isStopping(signal) || !this.touched) throw reason
    return asProblem(reason)
  }
}

/** Aborts only when the gateway stops: putting back is not cut short by the wish that set it off. */
function stopSignalOf(signal: AbortSignal): AbortSignal {
  const stop = new AbortController()
  const listen = () => isStopping(signal) && stop.abort(signal.reason)
  if (signal.aborted) listen()
  else signal.addEventListener('abort', listen, { once: true })
  return stop.signal
}

const isStopping = (signal: AbortSignal): boolean =>
  signal.aborted && signal.reason instanceof Problem && signal.reason.code === 'stopping'

/** Node wraps the reason of an aborted pause into an AbortError. */
function unwrapped(error: unknown): unknown {
  return error instanceof Error && error.name === 'AbortError' && error.cause ? error.cause : error
}
