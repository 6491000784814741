import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { isObject } from '#api/is-object.ts'

/**
 * A file that says with which setup a gateway has last proven that build steps are isolated, and what
 * it tried. A note that is lost or damaged costs the next start two seconds.
 */
export class ProofNote {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** What was tried with the same setup. Null: there is no such proof. */
  read(setup: string): string | null {
    try {
      const note: unknown = JSON.parse(readFileSync(this.#path, 'utf8'))
      return isObject(note) && note['setup'] === setup ? String(note['detail']) : null
    } catch {
      return null
    }
  }

  write(setup: string, detail: string): void {
    try {
      writeFileSync(this.#path, JSON.stringify({ setup, detail }))
    } catch {} // the disk is full
  }

  remove(): void {
    rmSync(this.#path, { force: true })
  }
}
