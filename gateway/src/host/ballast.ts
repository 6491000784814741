import { existsSync, rmSync } from 'node:fs'
import { rename, statfs, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

const ballastBytes = 64 * 2 ** 20
const piece = Buffer.alloc(2 ** 20)
/** It takes no room that is short. */
const wantedTimes = 10
/** What a start writes before old caches can be removed. */
const startBytes = 16 * 2 ** 20

/** Room that is set aside on the volume, so that the record can still be written when the disk is full. */
export class Ballast {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** Sets the room aside, where there is plenty of it. */
  async fill(): Promise<void> {
    if (existsSync(this.#path) || (await this.#freeBytes()) < ballastBytes * wantedTimes) return
    // In pieces: held whole it would weigh on the gateway's memory long after.
    await writeFile(`${this.#path}.new`, Array<Buffer>(ballastBytes / piece.length).fill(piece), { flush: true })
    await rename(`${this.#path}.new`, this.#path)
  }

  /** Before anything else is written at a start, which must come to where room is made. */
  async releaseIfFull(): Promise<void> {
    if ((await this.#freeBytes()) < startBytes) this.release()
  }

  /** Gives the room up; false when there was none left to give. */
  release(): boolean {
    if (!existsSync(this.#path)) return false
    rmSync(this.#path)
    return true
  }

  async #freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(dirname(this.#path))
    return bavail * bsize
  }
}
