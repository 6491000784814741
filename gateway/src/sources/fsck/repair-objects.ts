import { lstatSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { TreeFile } from '#api/tree.ts'
import { namesIn } from '../unless-gone.ts'
import { readTreeOf } from './check-tree.ts'
import type { Volume } from './volume.ts'

type Copy = { path: string; ino: number }

/**
 * Replaces damaged files of the store by whole copies from trees, or by the same content with the
 * other mode. One without a copy is removed: what uses it is not whole then.
 */
export function repairObjects(volume: Volume): void {
  const damaged = [...volume.stored].filter(([, { isWhole }]) => !isWhole)
  if (damaged.length === 0) return
  const copies = copiesOf(new Set(damaged.map(([name]) => name.slice(0, 64))), volume)
  for (const [name, { path }] of damaged)
    volume.found(path, 'its content is another than its name says', () => {
      const sha256 = name.slice(0, 64)
      const mode = name === sha256 ? 0o644 : 0o755
      const whole = copies.get(sha256)?.find(({ path, ino }) => volume.has(path, ino, sha256))
      if (whole) volume.store(whole.path, { sha256, mode })
      else {
        rmSync(path)
        volume.stored.delete(name)
      }
      return whole !== undefined
    })
}

/** Files of the store and of trees that should have this content. */
function copiesOf(wanted: ReadonlySet<string>, volume: Volume): Map<string, Copy[]> {
  const copies = new Map<string, Copy[]>()
  const add = (sha256: string, path: string) => {
    const ino = lstatSync(path, { throwIfNoEntry: false })?.ino
    const known = copies.get(sha256) ?? []
    if (ino !== undefined && known.every((each) => each.ino !== ino)) known.push({ path, ino })
    copies.set(sha256, known)
  }

  for (const [name, { path, isWhole }] of volume.stored)
    if (isWhole && wanted.has(name.slice(0, 64))) add(name.slice(0, 64), path)
  for (const hex of namesIn(join(volume.dir, 'trees'))) {
    const tree = readTreeOf(volume.dir, hex)
    const files = tree?.entries.filter((entry): entry is TreeFile => entry.type === 'file') ?? []
    for (const { sha256, path } of files)
      if (wanted.has(sha256)) add(sha256, join(volume.dir, 'trees', hex, 'files', path))
  }
  return copies
}
