import type { BuildSteps, BuildUsage } from '#api/image/build-usage.ts'
import type { EventSink } from '../deployments/event-sink.ts'

/** The step that makes the image from the others. It never comes from the cache. */
const exportId = 'image'

/** Adds up what the steps of a build used, from their events. */
export class UsageOfBuild {
  #cpuMs = 0
  #peakMemoryBytes = 0
  readonly #ran = new Set<string>()
  readonly #cached = new Set<string>()

  /** The same sink, which also counts. */
  counting(emit: EventSink): EventSink {
    return (event) => {
      if (event.type === 'step') {
        this.#cpuMs += event.cpuMs ?? 0
        this.#peakMemoryBytes = Math.max(this.#peakMemoryBytes, event.peakMemoryBytes ?? 0)
        if (event.step !== exportId) this.#count(event.step, event.status === 'cached')
      }
      emit(event)
    }
  }

  /** For the record. Nothing of what was not measured, and no steps if none took place. */
  get patch(): { buildUsage?: BuildUsage; buildSteps?: BuildSteps } {
    const [cpuMs, peakMemoryBytes] = [this.#cpuMs, this.#peakMemoryBytes]
    const [cached, run] = [this.#cached.size, this.#ran.size]
    return {
      ...(peakMemoryBytes > 0 && { buildUsage: { cpuMs, peakMemoryBytes } }),
      ...(cached + run > 0 && { buildSteps: { cached, run } }),
    }
  }

  /** A second try of a build takes from the cache what the first one ran: it has run all the same. */
  #count(step: string, isCached: boolean): void {
    if (this.#ran.has(step)) return
    if (!isCached) this.#cached.delete(step)
    const steps = isCached ? this.#cached : this.#ran
    steps.add(step)
  }
}
