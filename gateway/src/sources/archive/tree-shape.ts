import { Problem } from '#api/problem.ts'
import type { Limits } from '../limits.ts'
import { shownName } from './source-path.ts'
import { tooMany } from './tar-reader.ts'

export type Kind = 'file' | 'folder' | 'link'

/**
 * The paths of a tree that are taken, and their kinds. Names that differ are different entries. An
 * entry may come again, as in an archive that was added to: the last one counts. Refuses an entry
 * that would be written through a link, and a path with two kinds.
 */
export class TreeShape {
  readonly #limits: Limits
  readonly #kinds = new Map<string, Kind>()

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** Adds a path. Returns the folders that this makes necessary, outer before inner. */
  addPath(kind: Kind, path: string): string[] {
    const known = this.#kinds.get(path)
    if (known === kind) return []
    if (known) throw conflict(path, known, kind)
    const folders = this.#folders(path)
    this.#add(path, kind)
    return kind === 'folder' ? [...folders, path] : folders
  }

  /** Null if nothing is there. The root is a folder. */
  kindOf(path: string): Kind | null {
    return path === '' ? 'folder' : (this.#kinds.get(path) ?? null)
  }

  /** Adds the folders above a path if they are missing. Returns the new ones. */
  #folders(path: string): string[] {
    const slash = path.lastIndexOf('/')
    if (slash < 0) return []
    const folder = path.slice(0, slash)
    const known = this.#kinds.get(folder)
    if (known === 'folder') return []
    if (known) throw conflict(folder, known, 'folder')
    const folders = this.#folders(folder)
    this.#add(folder, 'folder')
    return [...folders, folder]
  }

  #add(path: string, kind: Kind): void {
    // Folders without an entry of their own count too: the gateway has to create each one.
    if (this.#kinds.size >= this.#limits.entries) throw tooMany(this.#limits.entries)
    this.#kinds.set(path, kind)
  }
}

const names: Record<Kind, string> = { file: 'a file', folder: 'a folder', link: 'a link' }

function conflict(path: string, known: Kind, kind: Kind): Problem {
  const facts = { other: path }
  const shown = shownName(Buffer.from(path))
  if (known === 'link' && kind === 'folder') {
    const detail = `An earlier entry makes "${shown}" a link, and this one would be written through it. Pack the folder that the link names, or leave the link out.`
    return new Problem('archive-link-escape', detail, { facts })
  }
  const detail = `An earlier entry makes "${shown}" ${names[known]}, this one makes it ${names[kind]}. Pack the folder again, into a new archive.`
  const code =
    known === 'link' || kind === 'link' ? 'archive-link-escape' : 'archive-duplicate-path'
  return new Problem(code, detail, { facts })
}
