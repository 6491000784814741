import { EventEmitter, once } from 'node:events'

const queue = 'queue'
const logOf = (id: string) => `log ${id}`

/**
 * Notifies listeners in this process. Call the methods within a transaction: it is synchronous, so
 * the notices arrive after its commit.
 */
export class Notices {
  readonly #emitter = new EventEmitter().setMaxListeners(0)

  logHasGrown(id: string): void {
    queueMicrotask(() => this.#emitter.emit(logOf(id)))
  }

  /** Something may start now that could not before. */
  queueHasChanged(): void {
    queueMicrotask(() => this.#emitter.emit(queue))
  }

  async untilLogGrows(id: string, signal: AbortSignal): Promise<void> {
    await once(this.#emitter, logOf(id), { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }

  onQueueChange(listener: () => void): Disposable {
    this.#emitter.on(queue, listener)
    return { [Symbol.dispose]: () => void this.#emitter.off(queue, listener) }
  }
}
