import { existsSync, rmSync } from 'node:fs'
import { mkdir, open, readdir, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errorCode } from '#api/error-code.ts'

const ballastBytes = 64 * 2 ** 20
const piece = Buffer.alloc(2 ** 20)
/** The ballast is allocated only when this many times its size is free. */
const wantedTimes = 10
/** What a start writes before the gateway can remove old caches. */
const startBytes = 16 * 2 ** 20
const startFiles = 64
/** The start reserve, in files: a disk can run out of files (inodes) too. */
const small = { files: 64, piece: Buffer.alloc(2 ** 16) }
/** What the start reserve leaves to others on a disk that is nearly full. */
const leftBytes = 2 ** 20

/**
 * Space reserved on the volume, so that the gateway can still write its records when the disk is
 * full.
 */
export class Ballast {
  readonly #path: string
  /** Reserve in many files. Only a start deletes it, when the ballast is already used up. */
  readonly #forStart: string
  readonly #expendable: readonly string[]

  /** `expendable`: folders whose content the gateway can delete at a start. */
  constructor(path: string, expendable: readonly string[] = []) {
    this.#path = path
    this.#forStart = `${path}-start`
    this.#expendable = expendable
  }

  /** Allocates the ballast if there is plenty of space, and the start reserve if there is any. */
  async fill(): Promise<void> {
    await this.fillForStart()
    if (existsSync(this.#path) || (await this.#free()).bytes < ballastBytes * wantedTimes) return
    // Written in pieces: one buffer of this size would stay in the gateway's memory for long.
    await writeFile(`${this.#path}.new`, Array<Buffer>(ballastBytes / piece.length).fill(piece), {
      flush: true,
    })
    await rename(`${this.#path}.new`, this.#path)
  }

  /** Refills the start reserve, as far as the disk allows: the last start may have used it. */
  async fillForStart(): Promise<void> {
    try {
      await mkdir(this.#forStart, { recursive: true })
      const existing = new Set(await readdir(this.#forStart))
      for (let number = 0; number < small.files; number++) {
        if (existing.has(`${number}`)) continue
        if ((await this.#free()).bytes < small.piece.length + leftBytes) return
        await using file = await open(join(this.#forStart, `${number}`), 'w')
        await file.writeFile(small.piece)
      }
    } catch (error) {
      if (errorCode(error) !== 'ENOSPC') throw error
    }
  }

  /**
   * Call this before a start writes anything else. A start must get as far as the removal of old
   * caches.
   */
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

  /** Deletes the ballast. False when there was none left. */
  release(): boolean {
    if (!existsSync(this.#path)) return false
    rmSync(this.#path)
    return true
  }

  async #free(): Promise<{ bytes: number; files: number }> {
    const { bavail, bsize, files, ffree } = await statfs(dirname(this.#path))
    // Some file systems do not count files.
    return { bytes: bavail * bsize, files: files === 0 ? Infinity : ffree }
  }
}
