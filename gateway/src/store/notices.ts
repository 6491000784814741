import { EventEmitter, once } from 'node:events'

const queue = 'queue'
const previews = 'previews'
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

  /** There is a new preview, or one has moved or got another end. */
  previewsHaveChanged(): void {
    queueMicrotask(() => this.#emitter.emit(previews))
  }

  async untilLogGrows(id: string, signal: AbortSignal): Promise<void> {
    await once(this.#emitter, logOf(id), { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }

  onQueueChange(listener: () => void): Disposable {
    return this.#on(queue, listener)
  }

  onPreviewsChange(listener: () => void): Disposable {
    return this.#on(previews, listener)
  }

  #on(name: string, listener: () => void): Disposable {
    this.#emitter.on(name, listener)
    return { [Symbol.dispose]: () => void this.#emitter.off(name, listener) }
  }
}
