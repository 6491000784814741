import { linkSync, mkdirSync, rmdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from '#api/error-code.ts'
import { namesIn } from '../unless-gone.ts'

/** What no tree took is removed after this many hours. */
export const keptHours = 24

const hourMs = 3_600_000

/**
 * What each app has sent in packs and no tree has taken yet: `incoming/APP/HOUR/NAME`, hard links to
 * the store's files. HOUR counts from 1970.
 */
export class Incoming {
  readonly #dir: string

  /** `volume` is the data volume. */
  constructor(volume: string) {
    this.#dir = join(volume, 'incoming')
  }

  /** The paths of what an app has sent, by name. */
  of(app: string): Map<string, string> {
    const own = join(this.#dir, app)
    const paths = namesIn(own).flatMap((hour) =>
      namesIn(join(own, hour)).map((name): [string, string] => [name, join(own, hour, name)]),
    )
    return new Map(paths)
  }

  /**
   * `note` notes that the app has sent a file, which is at `path`. `folders`: what has to be synced
   * then.
   */
  open(app: string, nowMs = Date.now()) {
    const own = this.folderOf(app)
    const folder = join(own, String(Math.floor(nowMs / hourMs)))
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const note = (name: string, path: string): void => {
      try {
        linkSync(path, join(folder, name))
      } catch (error) {
        if (errorCode(error) !== 'EEXIST') throw error
      }
    }
    return { note, folders: [this.#dir, own, folder] }
  }

  /** The folder of what an app has sent. */
  folderOf(app: string): string {
    return join(this.#dir, app)
  }

  /** Removes what is too old. Returns how many folders that were. */
  async sweep(nowMs = Date.now()): Promise<number> {
    const oldest = Math.floor(nowMs / hourMs) - keptHours
    let removed = 0
    for (const app of namesIn(this.#dir)) {
      const own = this.folderOf(app)
      const old = namesIn(own).filter((hour) => Number(hour) < oldest)
      for (const hour of old) await rm(join(own, hour), { recursive: true, force: true })
      removed += old.length
      removeIfEmpty(own)
    }
    return removed
  }
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (error) {
    // A pack may arrive, and a deleted app’s folder may be gone.
    if (!['ENOTEMPTY', 'ENOENT'].includes(errorCode(error) ?? '')) throw error
  }
}
