import type { NewEvent } from '#api/event.ts'
import type { BuildSteps, BuildUsage } from '#api/image/build-usage.ts'
import { stepKey } from '#api/text/step-key.ts'
import type { StepTimeStore } from '../deployments/build/step-time-store.ts'
import type { EventSink } from '../deployments/event-sink.ts'

/** The step that makes the image from the others. It never comes from the cache. */
const exportId = 'image'

/** Adds up what the steps of a build used, from their events. */
export class UsageOfBuild {
  #cpuMs = 0
  #peakMemoryBytes = 0
  /** By id: the name. */
  readonly #ran = new Map<string, string>()
  readonly #cached = new Map<string, string>()
  /** Milliseconds by name, of steps that ended well. */
  readonly #times = new Map<string, number>()

  /** The same sink, which also counts. */
  counting(emit: EventSink): EventSink {
    return (event) => {
      if (event.type === 'step') {
        this.#cpuMs += event.cpuMs ?? 0
        this.#peakMemoryBytes = Math.max(this.#peakMemoryBytes, event.peakMemoryBytes ?? 0)
        if (event.step !== exportId) this.#count(event)
      }
      emit(event)
    }
  }

  /**
   * For the record. Nothing of what was not measured, and no steps if none took place. Notes how long
   * the steps of the app took, for its later builds.
   */
  patchOf(
    app: string,
    times: Pick<StepTimeStore, 'note' | 'sumOf'>,
  ): { buildUsage?: BuildUsage; buildSteps?: BuildSteps } {
    const [cpuMs, peakMemoryBytes] = [this.#cpuMs, this.#peakMemoryBytes]
    const [cached, run] = [this.#cached.size, this.#ran.size]
    times.note(app, this.#times)
    const savedMs = times.sumOf(app, this.#cached.values())
    return {
      ...(peakMemoryBytes > 0 && { buildUsage: { cpuMs, peakMemoryBytes } }),
      ...(cached + run > 0 && {
        buildSteps: { cached, run, ...(savedMs !== null && { savedMs }) },
      }),
    }
  }

  /** A second try of a build takes from the cache what the first one ran: it has run all the same. */
  #count({ step, name, status, ms }: NewEvent & { type: 'step' }): void {
    const key = stepKey(name)
    if (status === 'done' && ms !== undefined) this.#times.set(key, ms)
    if (this.#ran.has(step)) return
    if (status === 'cached') this.#cached.set(step, key)
    else {
      this.#cached.delete(step)
      this.#ran.set(step, key)
    }
  }
}
