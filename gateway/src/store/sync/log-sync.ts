import { type FileHandle, open } from 'node:fs/promises'

/** Syncs the write-ahead log of a database, and releases it at the end. */
export type SyncedLog = { sync(): Promise<void> } & AsyncDisposable

/** The write-ahead log of an open database. It is there from the first transaction on. */
export function logOf(path: string): SyncedLog {
  let file: Promise<FileHandle> | undefined
  return {
    async sync() {
      if (path === ':memory:') return
      file ??= open(`${path}-wal`)
      await (await file).datasync()
    },
    async [Symbol.asyncDispose]() {
      await (await file)?.close()
    },
  }
}

/**
 * Syncs transactions beside the main thread. What is committed while a sync runs shares the next one.
 * SQLite's own sync blocks the whole gateway for some milliseconds, once for each transaction.
 */
export class LogSync {
  readonly #log: SyncedLog
  /** The newest sync that has begun. */
  #begun: Promise<void> = Promise.resolve()
  #next: Promise<void> | null = null

  constructor(log: SyncedLog) {
    this.#log = log
  }

  /** Everything that is committed now will be on disk soon. */
  begin(): void {
    this.#next ??= this.#begun
      .catch(() => {})
      .then(() => {
        this.#next = null
        return (this.#begun = this.#log.sync())
      })
    this.#next.catch(() => {}) // `settled` throws it
  }

  /** Resolves when everything whose sync was begun is on disk. Throws if that failed. */
  settled(): Promise<void> {
    return this.#next ?? this.#begun
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.settled().catch(() => {})
    await this.#log[Symbol.asyncDispose]()
  }
}
