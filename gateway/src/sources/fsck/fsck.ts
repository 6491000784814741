import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { checkIncoming } from './check-incoming.ts'
import { namesIn } from '../unless-gone.ts'
import { checkObjects } from './check-objects.ts'
import { checkTree } from './check-tree.ts'
import { repairObjects } from './repair-objects.ts'
import { type FsckReport, fsckExitCode, fsckText } from './report.ts'
import { Volume } from './volume.ts'

export { fsckExitCode, fsckText }

/**
 * Checks every file of the store against its name, and every tree against its digest and the store.
 * With `repair` it makes whole what it can, from any healthy copy, and sets the other trees aside.
 * A gateway may run meanwhile: each step of a repair leaves whole trees.
 */
export function fsck(dir: string, { repair }: { repair: boolean }): FsckReport {
  const work = join(dir, 'fsck')
  rmSync(work, { recursive: true, force: true }) // left by a crash
  if (repair) mkdirSync(work, { mode: 0o700 })
  try {
    const stored = checkObjects(dir)
    const volume = new Volume(dir, { repair, work, stored })
    repairObjects(volume)
    let files = 0
    const trees = namesIn(join(dir, 'trees'))
    for (const hex of trees) files += checkTree(volume, hex)
    checkIncoming(volume)
    // They are links to what may have been damaged.
    if (repair) rmSync(join(dir, 'spares'), { recursive: true, force: true })

    const all = [...stored.values()]
    const bytes = all.reduce((sum, each) => sum + each.bytes, 0)
    const { findings, setAside } = volume
    return { objects: all.length, bytes, trees: trees.length, files, findings, setAside }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
