import { open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFileSystem } from '../../host/sync-file-system.ts'
import type { Logger } from '../../log.ts'

/** Says in which life of the machine a daemon last wrote here, or that all of that is on disk. */
const markOf = (root: string) => join(root, 'in-use')
const bootId = () => readFile('/proc/sys/kernel/random/boot_id', 'utf8')
const left = 'left'

/**
 * Before a daemon uses its cache: throws it away when the machine lost its power while one did. The daemon then knows of
 * files whose content never came to the disk, and builds from empty ones. False: the disk is too full for the mark, so
 * `markCache` must follow as soon as there is room.
 */
export async function markInUse(root: string, log: Logger): Promise<boolean> {
  const now = await bootId()
  const mark = (await readFile(markOf(root), 'utf8').catch(() => '')).trim()
  if (mark !== '' && mark !== left && mark !== now.trim()) {
    log.warn(
      'the machine went down without notice: the build cache is not to be trusted and is thrown away',
    )
    for (const name of await readdir(root))
      await rm(join(root, name), { recursive: true, force: true })
  }
  return mark === now.trim() || markCache(root)
}

/** Notes that a daemon of this life of the machine writes here; false when there is no room for that. */
export async function markCache(root: string): Promise<boolean> {
  const now = await bootId()
  return writeMark(root, now).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOSPC') return false
      throw error
    },
  )
}

/** After the daemon has ended. */
export async function markClean(root: string): Promise<void> {
  await syncFileSystem(root)
  await writeMark(root, left).catch(() => rm(markOf(root), { force: true }))
}

/** Written over, never removed or cut: so the next start finds its room taken, on a full disk too. */
async function writeMark(root: string, text: string): Promise<void> {
  await using mark = await open(markOf(root), 'r+').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return open(markOf(root), 'w')
  })
  await mark.write(text.padEnd(40), 0)
  await mark.sync()
}
