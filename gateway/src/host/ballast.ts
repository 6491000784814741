import { existsSync, rmSync } from 'node:fs'
import { mkdir, open, readdir, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

const ballastBytes = 64 * 2 ** 20
const piece = Buffer.alloc(2 ** 20)
/** It takes no room that is short. */
const wantedTimes = 10
/** What a start writes before old caches can be removed. */
const startBytes = 16 * 2 ** 20
const startFiles = 64
/** What a start needs at the least, in files: a disk may be out of those too. */
const small = { files: 64, piece: Buffer.alloc(2 ** 16) }
/** What the small reserve leaves to others on a disk that is nearly full. */
const leftBytes = 2 ** 20

/** Room that is set aside on the volume, so that the record can still be written when the disk is full. */
export class Ballast {
  readonly #path: string
  /** Of files that a start alone may take back, so that it works when the room for the record is spent. */
  readonly #forStart: string
  readonly #expendable: readonly string[]

  /** `expendable`: folders whose content a start can do without. */
  constructor(path: string, expendable: readonly string[] = []) {
    this.#path = path
    this.#forStart = `${path}-start`
    this.#expendable = expendable
  }

  /** Sets the room aside, where there is plenty of it; a little for the next start wherever there is any. */
  async fill(): Promise<void> {
    await this.fillForStart()
    if (existsSync(this.#path) || (await this.#free()).bytes < ballastBytes * wantedTimes) return
    // In pieces: held whole it would weigh on the gateway's memory long after.
    await writeFile(`${this.#path}.new`, Array<Buffer>(ballastBytes / piece.length).fill(piece), {
      flush: true,
    })
    await rename(`${this.#path}.new`, this.#path)
  }

  /** As much of it as the disk has: the next start may need what this one took. */
  async fillForStart(): Promise<void> {
    try {
      await mkdir(this.#forStart, { recursive: true })
      const there = new Set(await readdir(this.#forStart))
      for (let number = 0; number < small.files; number++) {
        if (there.has(`${number}`)) continue
        if ((await this.#free()).bytes < small.piece.length + leftBytes) return
        await using file = await open(join(this.#forStart, `${number}`), 'w')
        await file.writeFile(small.piece)
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }

  /** Before anything else is written at a start, which must come to where room is made. */
  async releaseIfFull(): Promise<void> {
    const isFull = async () => {
      const { bytes, files } = await this.#free()
      return bytes < startBytes || files < startFiles
    }
    if (!(await isFull())) return
    this.release()
    for (const folder of this.#expendable)
      for (const name of await readdir(folder).catch(() => []))
        await rm(join(folder, name), { recursive: true, force: true })
    if (await isFull()) await rm(this.#forStart, { recursive: true, force: true })
  }

  /** Gives the room up; false when there was none left to give. */
  release(): boolean {
    if (!existsSync(this.#path)) return false
    rmSync(this.#path)
    return true
  }

  async #free(): Promise<{ bytes: number; files: number }> {
    const { bavail, bsize, files, ffree } = await statfs(dirname(this.#path))
    return { bytes: bavail * bsize, files: files === 0 ? Infinity : ffree } // some file systems do not count files
  }
}
