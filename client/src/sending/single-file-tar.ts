import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { tarBytes, type TarEntry, tarHeader } from '#api/tar-writer.ts'
import { unreadable } from '../ignore/read-if-there.ts'
import { unsteady } from '../deploy/pack-source.ts'
import type { MissingFile } from './packs.ts'

/** A tar of one file that is read in any order, and never whole. */
export class SingleFileTar {
  readonly sizeBytes: number
  readonly #header: Buffer
  readonly #file: MissingFile
  readonly #descriptor: number

  constructor(folder: string, file: MissingFile) {
    const { sha256, sizeBytes, path, mode } = file
    const entry: TarEntry = { type: 'file', path: sha256, mode, sizeBytes }
    this.#header = tarHeader(entry, new Date(0))
    this.sizeBytes = tarBytes([entry])
    this.#file = file
    try {
      const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)
      this.#descriptor = openSync(join(folder, path), flags)
    } catch (error) {
      throw unreadable(path, error)
    }
    if (fstatSync(this.#descriptor).size === sizeBytes) return
    this.close()
    throw unsteady(path)
  }

  /** The bytes from `start` on, at most `length`. */
  read(start: number, length: number): Buffer {
    // Zeros follow the content.
    const part = Buffer.alloc(Math.min(length, this.sizeBytes - start))
    const headerBytes = this.#header.subarray(start).copy(part)
    const at = start + headerBytes - this.#header.length
    const left = this.#file.sizeBytes - at
    const wanted = Math.min(part.length - headerBytes, left)
    for (let read = 0; read < wanted;) {
      const got = this.#readAt(part.subarray(headerBytes + read, headerBytes + wanted), at + read)
      if (got === 0) throw unsteady(this.#file.path)
      read += got
    }
    return part
  }

  close(): void {
    closeSync(this.#descriptor)
  }

  #readAt(into: Buffer, position: number): number {
    try {
      return readSync(this.#descriptor, into, { position })
    } catch (error) {
      throw unreadable(this.#file.path, error)
    }
  }
}
