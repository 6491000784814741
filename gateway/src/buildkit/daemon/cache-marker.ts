import { open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFileSystem } from '../../host/disk/sync-file-system.ts'
import type { Logger } from '../../log.ts'

/**
 * Holds the boot id of the machine under which a daemon last wrote to the cache, or `left` if
 * everything is on disk.
 */
const markOf = (root: string) => join(root, 'in-use')
const bootId = () => readFile('/proc/sys/kernel/random/boot_id', 'utf8')
const left = 'left'

/**
 * Call before a daemon uses its cache. Deletes the cache if the machine lost power while a daemon
 * used it. In that case the daemon knows files whose content never reached the disk, and would
 * build from empty ones. Returns false if the disk is too full for the marker. Then call
 * `markCache` as soon as there is space.
 */
export async function markInUse(root: string, log: Logger): Promise<boolean> {
  const now = await bootId()
  const mark = (await readFile(markOf(root), 'utf8').catch(() => '')).trim()
  if (mark !== '' && mark !== left && mark !== now.trim()) {
    log.warn('the machine stopped unexpectedly: the build cache may be damaged and is deleted')
    for (const name of await readdir(root))
      await rm(join(root, name), { recursive: true, force: true })
  }
  return mark === now.trim() || markCache(root)
}

/**
 * Records that a daemon writes here during this boot of the machine. Returns false if there is no
 * space.
 */
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

/** Call after the daemon has ended. */
export async function markClean(root: string): Promise<void> {
  await syncFileSystem(root)
  await writeMark(root, left).catch(() => rm(markOf(root), { force: true }))
}

/** Overwrites the marker in place. The next start then needs no new space, even on a full disk. */
async function writeMark(root: string, text: string): Promise<void> {
  await using mark = await open(markOf(root), 'r+').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return open(markOf(root), 'w')
  })
  await mark.write(text.padEnd(40), 0)
  await mark.sync()
}
