import { existsSync, rmSync } from 'node:fs'
import { rename, statfs, writeFile } from 'node:fs/promises'

const ballastBytes = 64 * 2 ** 20
/** It takes no room that is short. */
const wantedTimes = 10

/** Room that is set aside on the volume, so that the record can still be written when the disk is full. */
export class Ballast {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** Sets the room aside, where there is plenty of it. */
  async fill(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#path.replace(/\/[^/]*$/, ''))
    if (existsSync(this.#path) || bavail * bsize < ballastBytes * wantedTimes) return
    await writeFile(`${this.#path}.new`, Buffer.alloc(ballastBytes))
    await rename(`${this.#path}.new`, this.#path)
  }

  /** Gives the room up; false when there was none left to give. */
  release(): boolean {
    if (!existsSync(this.#path)) return false
    rmSync(this.#path)
    return true
  }
}
