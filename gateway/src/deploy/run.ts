import { Problem, asProblem } from '#api/problem.ts'
import type { ImageFacts, MachineFacts } from '#api/deployment.ts'
import type { NewEvent } from '#api/event.ts'
import type { DeploymentOptions } from '#api/options.ts'
import type { Tell } from '../deployments/tell.ts'
import type { MachinesApi } from '../fly/machines-api.ts'
import type { DesiredApp } from './desired.ts'
import { machineFacts, type Rollout, type Slot } from './rollout.ts'

/** What a deployment asks of the deploy engine. */
export type Work = {
  id: string
  number: number
  app: string
  options: DeploymentOptions
  image: ImageFacts
  desired: DesiredApp
  /** As last remembered; null when nothing was touched yet. */
  rollout: Rollout | null
  /** Writes down what is about to happen. When it fails the deployment is not ours any more: everything stops. */
  remember(patch: { rollout: Rollout; machines: MachineFacts[] }): Promise<void>
  tell: Tell
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
  /** The private network of new apps; null for the organisation's default. */
  network?: string | null
  /** Machine id of the builder, for Fly's image mirror. */
  builder?: string | null
}

/** One rollout under way: the work, what is known of it so far, and the two ways to write down more. */
export class Run {
  readonly settings: Settings
  readonly work: Work
  readonly rollout: Rollout
  #disowned = false

  constructor(settings: Settings, work: Work, rollout: Rollout) {
    this.settings = settings
    this.work = work
    this.rollout = rollout
  }

  get touched(): boolean {
    return this.rollout.slots.some(({ outcome }) => outcome !== null)
  }

  async save(): Promise<void> {
    try {
      const rollout = structuredClone(this.rollout)
      await this.work.remember({ rollout, machines: machineFacts(rollout) })
    } catch (error) {
      this.#disowned = true
      throw error
    }
  }

  tell(slot: Slot, event: Omit<Extract<NewEvent, { type: 'machine' }>, 'type' | 'machine' | 'region'>): void {
    this.work.tell({ type: 'machine', machine: slot.machine ?? slot.name, region: slot.region, ...event })
  }

  /** Why a step failed, where the machines are to be put back for it; thrown on where they are to be left alone. */
  reasonToGoBack(error: unknown): Problem {
    const { signal } = this.work
    const reason: unknown = signal.aborted ? signal.reason : unwrapped(error)
    if (this.#disowned || isStopping(signal) || !this.touched) throw reason
    return asProblem(reason)
  }

  /** Aborts only when the gateway stops: putting back is not cut short by the wish that set it off. */
  stopSignal(): AbortSignal {
    const stop = new AbortController()
    const { signal } = this.work
    const listen = () => isStopping(signal) && stop.abort(signal.reason)
    if (signal.aborted) listen()
    else signal.addEventListener('abort', listen, { once: true })
    return stop.signal
  }
}

const isStopping = (signal: AbortSignal): boolean =>
  signal.aborted && signal.reason instanceof Problem && signal.reason.code === 'stopping'

/** Node wraps the reason of an aborted pause into an AbortError. */
function unwrapped(error: unknown): unknown {
  return error instanceof Error && error.name === 'AbortError' && error.cause instanceof Problem ? error.cause : error
}
