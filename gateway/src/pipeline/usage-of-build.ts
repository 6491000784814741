import type { BuildUsage } from '#api/deployment.ts'
import type { EventSink } from '../deployments/event-sink.ts'

/** Adds up what the steps of a build used, from their events. */
export class UsageOfBuild {
  #cpuMs = 0
  #peakMemoryBytes = 0

  /** The same sink, which also counts. */
  counting(emit: EventSink): EventSink {
    return (event) => {
      if (event.type === 'step') {
        this.#cpuMs += event.cpuMs ?? 0
        this.#peakMemoryBytes = Math.max(this.#peakMemoryBytes, event.peakMemoryBytes ?? 0)
      }
      emit(event)
    }
  }

  /** For the record. Empty when nothing was measured: all steps were cached, or none has a record. */
  get patch(): { buildUsage?: BuildUsage } {
    const [cpuMs, peakMemoryBytes] = [this.#cpuMs, this.#peakMemoryBytes]
    return peakMemoryBytes > 0 ? { buildUsage: { cpuMs, peakMemoryBytes } } : {}
  }
}
