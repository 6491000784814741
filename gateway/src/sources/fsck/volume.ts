import { lstatSync, mkdirSync, renameSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { TreeFile } from '#api/tree.ts'
import { objectName, Objects } from '../trees/objects.ts'
import { copySynced, diskMode } from '../write-file.ts'
import type { StoredFiles } from './check-objects.ts'
import { hashFile } from './hash-file.ts'
import type { Finding } from './report.ts'
import { setAsideFolder, setAsideName } from './set-aside.ts'

/** A volume that is checked, and what was found so far. */
export class Volume {
  readonly dir: string
  readonly repair: boolean
  readonly stored: StoredFiles
  readonly objects: Objects
  readonly findings: Finding[] = []
  readonly setAside: string[] = []
  readonly #work: string
  /** By inode: many trees have the same file. */
  readonly #hashes = new Map<number, string>()
  #made = 0

  /** `work`: a folder of the same file system for files that are made. */
  constructor(dir: string, more: { repair: boolean; work: string; stored: StoredFiles }) {
    this.dir = dir
    this.repair = more.repair
    this.stored = more.stored
    this.#work = more.work
    this.objects = new Objects(dir)
  }

  /** Notes a fault, after `fix` if the volume is to be repaired. `fix` returns whether it could. */
  found(path: string, what: string, fix: () => boolean): boolean {
    const repaired = this.repair && fix()
    this.findings.push({ at: relative(this.dir, path), what, repaired })
    return repaired
  }

  /** Whether a file has this content. */
  has(path: string, ino: number, sha256: string): boolean {
    const known = this.#hashes.get(ino) ?? hashFile(path)
    this.#hashes.set(ino, known)
    return known === sha256
  }

  /** A free path for a file that is about to be moved. */
  free(): string {
    return join(this.#work, String(this.#made++))
  }

  /** Makes `path` a link to the stored file. False: the store has none that is whole. */
  linkTo(file: TreeFile, path: string): boolean {
    const name = objectName(file)
    const coming = this.free()
    if (!this.stored.get(name)?.isWhole && !this.#storeTwin(file)) return false
    if (!this.objects.linkTo(name, coming)) return false
    renameSync(coming, path)
    return true
  }

  /** Puts a synced copy of a whole file into the store, in the place of what is there. */
  store(from: string, file: Pick<TreeFile, 'sha256' | 'mode'>): void {
    const name = objectName(file)
    const path = this.objects.pathOf(name)
    const coming = this.free()
    copySynced(from, coming, diskMode(file.mode))
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    renameSync(coming, path)
    this.stored.set(name, { path, bytes: lstatSync(path).size, isWhole: true })
  }

  /** Moves a tree that cannot be made whole out of use. */
  moveAside(hex: string): void {
    const to = join(this.dir, setAsideFolder)
    mkdirSync(to, { recursive: true, mode: 0o700 })
    renameSync(join(this.dir, 'trees', hex), join(to, setAsideName(hex)))
    this.setAside.push(`sha256:${hex}`)
  }

  /** The same content may be there with the other mode. */
  #storeTwin({ sha256, mode }: TreeFile): boolean {
    const twin = this.stored.get(objectName({ sha256, mode: mode === 0o755 ? 0o644 : 0o755 }))
    if (!twin?.isWhole) return false
    this.store(twin.path, { sha256, mode })
    return true
  }
}
