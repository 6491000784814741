import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { z } from 'zod'

const Note = z.object({ circumstances: z.string(), detail: z.string() })

/**
 * A file that says under which circumstances a gateway has last proven that build steps are
 * isolated, and what it tried. A note that is lost or damaged costs the next start a second.
 */
export class ProofNote {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** What was tried under the same circumstances. Null: there is no such proof. */
  read(circumstances: string): string | null {
    try {
      const note = Note.parse(JSON.parse(readFileSync(this.#path, 'utf8')))
      return note.circumstances === circumstances ? note.detail : null
    } catch {
      return null
    }
  }

  write(circumstances: string, detail: string): void {
    try {
      writeFileSync(this.#path, JSON.stringify({ circumstances, detail } satisfies Note))
    } catch {} // the disk is full
  }

  remove(): void {
    rmSync(this.#path, { force: true })
  }
}

type Note = z.infer<typeof Note>
